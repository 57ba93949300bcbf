// One block of 256 weights of a row, expanded, and how it meets the columns. Include a simd*.h
// first.
#pragma once

#include <algorithm>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/expand_formats.h"
#ifdef __AVX512BW__
#include "kernels/cpu/expand_dots512.h"
#else
#include "kernels/cpu/expand_grid256.h"
#endif

namespace moebius::cpu {
namespace {

constexpr int kVectorsPerSum = Simd::kVectorsPerBlock / Simd::kSumsPerBlock;

// The weights of one block in the order of the dots (activations.h).
template <typename Format>
struct PreparedBlock {
  static constexpr int kOffset = Format::kSigned ? Simd::kSignedOffset : Format::kOffset;
  static constexpr bool kHasMins = Format::kHasMin || kOffset != 0;

  Simd::I codes[Simd::kVectorsPerBlock];
  Simd::Factors factors;

  void load(const uint8_t* p, const uint16_t*, const Grids& grids) {
#ifdef __AVX512BW__
    if constexpr (DotFormat<Format::kFormat>::kExists) {
      DotFormat<Format::kFormat>::expand(p, codes, factors);
      return;
    }
#endif
    Expanded expanded;
    expand_codes<Format>(p, grids, codes, expanded);
    Simd::order_for_dots(codes);
    constexpr int kHalves = Format::kGroup == 16 ? 2 : 1;
    // (code - offset) * scale = code * scale - min
    if constexpr (kOffset != 0)
      for (int half = 0; half < kHalves; ++half) expanded.mins[half] = _mm256_mul_ps(expanded.scales[half], _mm256_set1_ps(kOffset));
    if constexpr (kHalves == 1) expanded.scales[1] = expanded.mins[1] = _mm256_setzero_ps();
    if constexpr (!kHasMins) expanded.mins[0] = expanded.mins[1] = _mm256_setzero_ps();
    factors = Simd::template join_factors<Format::kGroup>(expanded.scales, expanded.mins);
  }

  // The scaled dot of sum s with a column, on top of `sum`.
  template <typename Products>
  Simd::F add_sum(int s, const ActivationBlock& column, const Products& products, Simd::F sum) const {
    Simd::I dots = Simd::zero_int();
#pragma GCC unroll 4
    for (int part = 0; part < kVectorsPerSum; ++part) {
      const Simd::I x = Simd::load_aligned(column.dot_codes + Simd::dot_bytes(s, part));
      const Simd::I own = codes[kVectorsPerSum * s + part];
      dots = Format::kSigned ? Simd::dot_signed(dots, own, x) : Simd::dot(dots, own, x);
    }
    return Simd::fma(Simd::to_float(dots), Simd::template spread<Format::kGroup>(products, s), sum);
  }
};

// Indices into a grid that are found before the blocks of a segment are met.
template <typename Format>
constexpr int kIndices = 0;

#ifndef __AVX512BW__
template <typename Format>
  requires GridBlock<Format::kFormat>::kExists
constexpr int kIndices<Format> = GridBlock<Format::kFormat>::kIndices;

// Codes that are looked up in a grid only when they are needed. Their signs move to the
// activations.
template <typename Format>
  requires GridBlock<Format::kFormat>::kExists
struct PreparedBlock<Format> : GridBlock<Format::kFormat> {
  using Grid = GridBlock<Format::kFormat>;

  template <typename Products>
  Simd::F add_sum(int s, const ActivationBlock& column, const Products& products, Simd::F sum) const {
    const auto x = [&](int part) {
      const Simd::I values = Simd::load_aligned(column.dot_codes + Simd::dot_bytes(s, part));
      if constexpr (Grid::kHasSigns) return Simd::with_signs(values, Grid::signs(s, part));
      return values;
    };
    const Simd::I dots = Simd::dot_twice(Grid::entries(s, 0), x(0), Grid::entries(s, 1), x(1));
    return Simd::fma(Simd::to_float(dots), Simd::template spread<Format::kGroup>(products, s), sum);
  }
};
#endif

// Where a block has several sums, two chains hide the latency of the multiply-add.
struct RowSums {
  static constexpr int kChains = Simd::kSumsPerBlock > 1 ? 2 : 1;
  Simd::F chains[kChains];

  void clear() { std::fill_n(chains, kChains, Simd::zero()); }
  Simd::F total() const { return kChains == 2 ? Simd::add(chains[0], chains[kChains - 1]) : chains[0]; }

  template <typename Format>
  void add(const PreparedBlock<Format>& block, const ActivationBlock& column) {
    if constexpr (PreparedBlock<Format>::kHasMins) chains[0] = Simd::template subtract_mins<Format::kGroup>(chains[0], block.factors, column);
    const auto products = Simd::template times_scales<Format::kGroup>(block.factors, column);
#pragma GCC unroll 4
    for (int s = 0; s < Simd::kSumsPerBlock; ++s) chains[s % kChains] = block.add_sum(s, column, products, chains[s % kChains]);
  }
};

#ifdef __AVX512BW__
// A vector of a column that two rows meet: held in a register, else GCC loads it for each.
inline __m512i load_once(const void* line) {
  __m512i v = _mm512_load_si512(line);
  __asm__("" : "+v"(v));
  return v;
}

// The same for one block of each of two rows.
template <typename Format>
inline void add_to_two(const PreparedBlock<Format>* blocks, const ActivationBlock& column, RowSums& first, RowSums& second) {
  Simd::F* const sums[2] = {first.chains, second.chains};
  if constexpr (PreparedBlock<Format>::kHasMins) {
    const Simd::F x = _mm512_castsi512_ps(load_once(column.sums16));
    for (int i = 0; i < 2; ++i) *sums[i] = Simd::fnma(blocks[i].factors.mins, x, *sums[i]);
  }
  Simd::I dots[2] = {Simd::zero_int(), Simd::zero_int()};
#pragma GCC unroll 4
  for (int part = 0; part < Simd::kVectorsPerBlock; ++part) {
    const Simd::I x = load_once(column.dot_codes + 64 * part);
    for (int i = 0; i < 2; ++i) dots[i] = Simd::dot(dots[i], blocks[i].codes[part], x);
  }
  const Simd::F scales = _mm512_load_ps(column.dot_scales);
  for (int i = 0; i < 2; ++i) *sums[i] = Simd::fma(Simd::to_float(dots[i]), Simd::mul(blocks[i].factors.scales, scales), *sums[i]);
}
#endif

}  // namespace
}  // namespace moebius::cpu
