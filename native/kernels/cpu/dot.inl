// Row dots on raw blocks: each weight byte is read once, expanded in registers and used
// for up to kMaxColumns activation rows. Included by one .cc file per level.
#include <algorithm>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/expand_formats.h"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/quantize.inl"
#ifdef __AVX512BW__
#include "kernels/cpu/expand_paired512.h"
#endif

namespace moebius::cpu {
namespace {

// The weights of one block in paired order (activations.h), ready for the dots.
template <typename Format>
struct PreparedBlock {
  static constexpr int kOffset = Format::kSigned ? Simd::kSignedOffset : Format::kOffset;
  static constexpr bool kHasMins = Format::kHasMin || kOffset != 0;

  Simd::I codes[Simd::kVectorsPerBlock];
  Simd::Factors factors;

  void load(const uint8_t* p, const Grids& grids) {
#ifdef __AVX512BW__
    if constexpr (PairedFormat<Format::kFormat>::kExists) {
      PairedFormat<Format::kFormat>::expand(p, codes, factors);
      return;
    }
#endif
    Expanded expanded;
    expand_codes<Format>(p, grids, codes, expanded);
    Simd::pair_groups(codes);
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
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
      const Simd::I x = Simd::load_aligned(column.paired + Simd::paired_bytes(s, part));
      dots = Format::kSigned ? Simd::dot_signed(dots, codes[2 * s + part], x) : Simd::dot(dots, codes[2 * s + part], x);
    }
    return Simd::fma(Simd::to_float(dots), Simd::template spread<Format::kGroup>(products, s), sum);
  }
};

// Two chains of sums hide the latency of the multiply-add.
struct RowSums {
  Simd::F even = Simd::zero(), odd = Simd::zero();

  template <typename Format>
  void add(const PreparedBlock<Format>& block, const ActivationBlock& column) {
    const auto products = Simd::template times_scales<Format::kGroup>(block.factors, column.scales);
#pragma GCC unroll 2
    for (int s = 0; s < Simd::kSumsPerBlock; s += 2) {
      even = block.add_sum(s, column, products, even);
      odd = block.add_sum(s + 1, column, products, odd);
    }
    if constexpr (PreparedBlock<Format>::kHasMins)
      even = Simd::template subtract_mins<Format::kGroup>(even, block.factors, products, Format::kGroup == 32 ? column.sums32 : column.sums16);
  }
};

// The bytes of 256 elements at `p`. A row's last block may reach into the next row, where it
// meets activations of zero; only at the end of the run it is copied and padded.
template <typename Format>
inline const uint8_t* whole_block(const uint8_t* p, const uint8_t* end, uint8_t* copy) {
  constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;
  if (Format::kBlockElements == 256 || end - p >= kStep) return p;
  std::memset(copy, 0, kStep);
  std::memcpy(copy, p, static_cast<size_t>(end - p));
  return copy;
}

// A run of weight rows on its way through the dots.
template <typename Format>
struct Run {
  static constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;

  const WeightRows& weights;
  const uint8_t* end;
  Grids grids = find_grids();
  alignas(64) uint8_t copy[kStep];

  explicit Run(const WeightRows& rows) : weights(rows), end(rows.data + static_cast<size_t>(rows.n_rows) * rows.row_bytes) {}

  const uint8_t* row(int64_t r) const { return weights.data + static_cast<size_t>(r) * weights.row_bytes; }

  void load(const uint8_t* p, PreparedBlock<Format>& block) {
    fetch_ahead(p, kStep);
    block.load(whole_block<Format>(p, end, copy), grids);
  }
};

// totals[c]: row r times column c, its lanes not yet summed. One row after the other: two at
// once would be two streams to fetch.
template <typename Format, int kColumns>
inline void dot_row(Run<Format>& run, int64_t r, const ActivationBlock* const* columns, Simd::F* totals) {
  const int64_t n_blocks = activation_blocks(run.weights.n_in);
  const uint8_t* row = run.row(r);
  RowSums sums[kColumns];
  for (int64_t b = 0; b < n_blocks; ++b, row += Run<Format>::kStep) {
    PreparedBlock<Format> block;
    run.load(row, block);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) sums[c].add(block, columns[c][b]);
  }
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) totals[c] = Simd::add(sums[c].even, sums[c].odd);
}

inline void store_sums(float* out, __m128 sums, int64_t n) {
  if (n >= 4) return _mm_storeu_ps(out, sums);
  alignas(16) float values[4];
  _mm_store_ps(values, sums);
  std::memcpy(out, values, static_cast<size_t>(n) * sizeof(float));
}

// Flattened: a call per block would cost as much as its dots. The sums of four rows are
// taken together.
template <typename Format, int kColumns>
__attribute__((flatten)) void dot_rows_of(const WeightRows& weights, const ActivationBlock* const* columns, float* out, int64_t out_stride) {
  Run<Format> run(weights);
  for (int64_t first = 0; first < weights.n_rows; first += 4) {
    const int64_t n = std::min<int64_t>(4, weights.n_rows - first);
    Simd::F totals[4][kColumns];
    for (int64_t i = 0; i < n; ++i) dot_row<Format, kColumns>(run, first + i, columns, totals[i]);
    for (int64_t i = n; i < 4; ++i) std::copy_n(totals[0], kColumns, totals[i]);
    for (int c = 0; c < kColumns; ++c)
      store_sums(out + c * out_stride + first, Simd::sums4(totals[0][c], totals[1][c], totals[2][c], totals[3][c]), n);
  }
}

// Rows of 128 elements (MLA's k_b) go in pairs: two rows are one block of 256, met by the
// column twice.
template <typename Format>
__attribute__((flatten)) void dot_row_pairs(const WeightRows& weights, const ActivationBlock& column, float* out) {
  constexpr int kSumsPerRow = Simd::kSumsPerBlock / 2;
  Run<Format> run(weights);
  ActivationBlock twice = column;
  std::memcpy(twice.paired + 128, column.paired, 128);
  for (int g = 0; g < 4; ++g) {
    twice.scales[4 + g] = column.scales[g];
    twice.sums32[4 + g] = column.sums32[g];
  }
  for (int64_t r = 0; r < weights.n_rows; r += 4) {
    Simd::F totals[4] = {Simd::zero(), Simd::zero(), Simd::zero(), Simd::zero()};
    for (int64_t i = 0; i < 4 && r + i < weights.n_rows; i += 2) {
      PreparedBlock<Format> block;
      run.load(run.row(r + i), block);
      const auto products = Simd::template times_scales<32>(block.factors, twice.scales);
#pragma GCC unroll 4
      for (int s = 0; s < Simd::kSumsPerBlock; ++s)
        totals[i + s / kSumsPerRow] = block.add_sum(s, twice, products, totals[i + s / kSumsPerRow]);
      if constexpr (PreparedBlock<Format>::kHasMins) Simd::subtract_pair_mins(totals + i, block.factors, products, twice.sums32);
    }
    store_sums(out + r, Simd::sums4(totals[0], totals[1], totals[2], totals[3]), weights.n_rows - r);
  }
}

template <typename Format>
void dot_rows_wide(const WeightRows& weights, const ActivationBlock* const* columns, int n_columns, float* out, int64_t out_stride) {
  switch (n_columns) {
    case 1: return dot_rows_of<Format, 1>(weights, columns, out, out_stride);
    case 2: return dot_rows_of<Format, 2>(weights, columns, out, out_stride);
    case 3: return dot_rows_of<Format, 3>(weights, columns, out, out_stride);
    case 4: return dot_rows_of<Format, 4>(weights, columns, out, out_stride);
    default: break;
  }
  if constexpr (Simd::kDotColumns >= 8) {
    switch (n_columns) {
      case 5: return dot_rows_of<Format, 5>(weights, columns, out, out_stride);
      case 6: return dot_rows_of<Format, 6>(weights, columns, out, out_stride);
      case 7: return dot_rows_of<Format, 7>(weights, columns, out, out_stride);
      default: return dot_rows_of<Format, 8>(weights, columns, out, out_stride);
    }
  }
}

template <QuantFormat format>
void dot_rows(const WeightRows& weights, const ActivationBlock* const* columns, int n_columns, float* out,
              int64_t out_stride) {
  using Format = BlockFormat<format>;
  if constexpr (Format::kBlockElements == 32) {
    if (weights.n_in == 128 && weights.row_bytes == 4 * Format::kBlockBytes) {
      for (int c = 0; c < n_columns; ++c) dot_row_pairs<Format>(weights, *columns[c], out + c * out_stride);
      return;
    }
  }
  if (n_columns <= Simd::kDotColumns) return dot_rows_wide<Format>(weights, columns, n_columns, out, out_stride);
  // Wider calls go four rows at a time, which stay in the first cache between the passes.
  for (int64_t r = 0; r < weights.n_rows; r += 4) {
    const WeightRows rows{weights.data + static_cast<size_t>(r) * weights.row_bytes, weights.row_bytes,
                          std::min<int64_t>(4, weights.n_rows - r), weights.n_in};
    for (int c = 0; c < n_columns; c += Simd::kDotColumns)
      dot_rows_wide<Format>(rows, columns + c, std::min(n_columns - c, Simd::kDotColumns), out + c * out_stride + r, out_stride);
  }
}

}  // namespace

namespace MOEBIUS_LEVEL {

void fill_dot_ops(LevelOps& ops) {
  ops.quantize_groups = quantize_groups;
#define MOEBIUS_DOT(name) ops.dot_rows[static_cast<int>(QuantFormat::name)] = dot_rows<QuantFormat::name>;
  MOEBIUS_FLAT_FORMATS(MOEBIUS_DOT)
#ifndef __AVX512BW__
  MOEBIUS_GRID_FORMATS(MOEBIUS_DOT)  // with AVX-512 in dot_grid512.inl
#endif
#undef MOEBIUS_DOT
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
