// Row dots on raw blocks: each weight byte is read once, expanded in registers and used
// for up to kMaxColumns activation rows. Included by one .cc file per level.
#include <algorithm>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/expand_formats.h"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/quantize.inl"
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

constexpr int64_t kRowsTogether = 4;  // rows whose sums are taken together

// Four rows meet a segment of the columns before the next, so that it stays in the first cache.
template <int kColumns>
constexpr int64_t kSegmentBlocks = 64 / kColumns;

// A run of weight rows on its way through the dots.
template <typename Format>
struct Run {
  static constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;

  const WeightRows& weights;
  const uint8_t* end;
  ReadAhead read_ahead;
  Grids grids = find_grids();
  alignas(64) uint8_t copy[kStep];
  alignas(64) uint16_t indices[kSegmentBlocks<1> * kIndices<Format> + 1];  // of a segment's blocks

  explicit Run(const WeightRows& rows) : weights(rows), end(rows.end()), read_ahead(ReadAhead::of(rows)) {}

  const uint8_t* row(int64_t r) const { return weights.row(r); }

  void find_indices(const uint8_t* p, int64_t n_blocks) {
    if constexpr (kIndices<Format> > 0)
      for (int64_t b = 0; b < n_blocks; ++b) PreparedBlock<Format>::find_indices(p + b * kStep, indices + b * kIndices<Format>);
  }
  // The block at p, number b of the segment.
  void load(const uint8_t* p, PreparedBlock<Format>& block, int64_t b, int64_t ahead) {
    fetch_ahead(p, kStep, ahead);
    block.load(whole_block<Format>(p, end, copy), indices + b * kIndices<Format>, grids);
  }
};

// Where the reading of a run goes on: segment by segment of four rows, then the next four.
struct Path {
  int64_t row_bytes, segment_bytes, n_segments;

  // Where step k begins.
  int64_t offset(int64_t k) const {
    const int64_t four = k / (kRowsTogether * n_segments), step = k % (kRowsTogether * n_segments);
    return (four * kRowsTogether + step % kRowsTogether) * row_bytes + step / kRowsTogether * segment_bytes;
  }
  // How far ahead the step after the next is. A row that is one segment lies in the stream.
  int64_t ahead(int64_t k) const { return n_segments == 1 ? kFetchAhead : offset(k + 2) - offset(k); }
};

// sums[c]: blocks [begin, end) of row r times those of column c. One row after the other: two
// at once would be two streams to fetch.
template <typename Format, int kColumns>
inline void add_segment(Run<Format>& run, int64_t r, int64_t begin, int64_t end, int64_t ahead,
                        const ActivationBlock* const* columns, RowSums* sums) {
  const uint8_t* p = run.row(r) + begin * Run<Format>::kStep;
  RowSums own[kColumns];
  for (int c = 0; c < kColumns; ++c) {
    if (begin == 0) {
      own[c].clear();
    } else {
      own[c] = sums[c];
    }
  }
  run.find_indices(p, end - begin);
  const int64_t fetch = run.read_ahead.distance(p, ahead);
  for (int64_t b = begin; b < end; ++b, p += Run<Format>::kStep) {
    PreparedBlock<Format> block;
    run.load(p, block, b - begin, fetch);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) own[c].add(block, columns[c][b]);
  }
  for (int c = 0; c < kColumns; ++c) sums[c] = own[c];
}

inline void store_sums(float* out, __m128 sums, int64_t n) {
  if (n >= 4) return _mm_storeu_ps(out, sums);
  alignas(16) float values[4];
  _mm_store_ps(values, sums);
  std::memcpy(out, values, static_cast<size_t>(n) * sizeof(float));
}

// Flattened: a call per block would cost as much as its dots.
template <typename Format, int kColumns>
__attribute__((flatten)) void dot_rows_of(const WeightRows& weights, const ActivationBlock* const* columns, float* out, int64_t out_stride) {
  Run<Format> run(weights);
  const int64_t n_blocks = activation_blocks(weights.n_in), segment = kSegmentBlocks<kColumns>;
  const Path path{static_cast<int64_t>(weights.row_bytes), segment * Run<Format>::kStep, (n_blocks + segment - 1) / segment};
  for (int64_t first = 0, step = 0; first < weights.n_rows; first += kRowsTogether) {
    const int64_t n = std::min(kRowsTogether, weights.n_rows - first);
    RowSums sums[kRowsTogether][kColumns];
    for (int64_t i = n; i < kRowsTogether; ++i)
      for (RowSums& unused : sums[i]) unused.clear();
    for (int64_t begin = 0; begin < n_blocks; begin += segment)
      for (int64_t i = 0; i < n; ++i)
        add_segment<Format, kColumns>(run, first + i, begin, std::min(n_blocks, begin + segment), path.ahead(step++), columns, sums[i]);
    for (int c = 0; c < kColumns; ++c) {
      store_sums(out + c * out_stride + first, Simd::sums4(sums[0][c].total(), sums[1][c].total(), sums[2][c].total(), sums[3][c].total()), n);
    }
  }
}

// Rows of 128 elements (MLA's k_b) go in pairs: two rows are one block of 256, met by the
// columns twice.
template <typename Format, int kColumns>
__attribute__((flatten)) void dot_row_pairs(const WeightRows& weights, const ActivationBlock* const* columns, float* out, int64_t out_stride) {
  Run<Format> run(weights);
  ActivationBlock twice[kColumns];
  for (int c = 0; c < kColumns; ++c) {
    twice[c] = columns[c][0];
    Simd::repeat_first_half(twice[c]);
  }
  for (int64_t r = 0; r < weights.n_rows; r += kRowsTogether) {
    Simd::F totals[kColumns][kRowsTogether] = {};
    for (int64_t i = 0; i < kRowsTogether && r + i < weights.n_rows; i += 2) {
      PreparedBlock<Format> block;
      const uint8_t* row = run.row(r + i);
      run.load(row, block, 0, run.read_ahead.distance(row));
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        const auto products = Simd::template times_scales<32>(block.factors, twice[c]);
        Simd::F sums[Simd::kSumsPerBlock], less = Simd::zero();
#pragma GCC unroll 4
        for (int s = 0; s < Simd::kSumsPerBlock; ++s) sums[s] = block.add_sum(s, twice[c], products, Simd::zero());
        if constexpr (PreparedBlock<Format>::kHasMins) less = Simd::template subtract_mins<32>(less, block.factors, twice[c]);
        Simd::split_rows(sums, less, totals[c] + i);
      }
    }
    for (int c = 0; c < kColumns; ++c)
      store_sums(out + c * out_stride + r, Simd::sums4(totals[c][0], totals[c][1], totals[c][2], totals[c][3]), weights.n_rows - r);
  }
}

// Calls body<n>() for the number of columns at hand.
template <int kMost, typename Body>
inline void with_columns(int n_columns, const Body& body) {
  if constexpr (kMost > 1)
    if (n_columns < kMost) return with_columns<kMost - 1>(n_columns, body);
  body.template operator()<kMost>();
}

template <typename Format>
void dot_rows_wide(const WeightRows& weights, const ActivationBlock* const* columns, int n_columns, float* out, int64_t out_stride) {
  with_columns<Simd::kDotColumns>(n_columns, [&]<int kColumns>() { dot_rows_of<Format, kColumns>(weights, columns, out, out_stride); });
}

template <QuantFormat format>
void dot_rows(const WeightRows& weights, const ActivationBlock* const* columns, int n_columns, float* out,
              int64_t out_stride) {
  using Format = BlockFormat<format>;
  if constexpr (Format::kBlockElements == 32) {
    if (weights.n_in == 128 && weights.row_bytes == 4 * Format::kBlockBytes) {
      for (int c = 0; c < n_columns; c += Simd::kDotColumns)
        with_columns<Simd::kDotColumns>(std::min(n_columns - c, Simd::kDotColumns), [&]<int kColumns>() {
          dot_row_pairs<Format, kColumns>(weights, columns + c, out + c * out_stride, out_stride);
        });
      return;
    }
  }
  if (n_columns <= Simd::kDotColumns) return dot_rows_wide<Format>(weights, columns, n_columns, out, out_stride);
  // Wider calls go four rows at a time, which stay in the first cache between the passes.
  for (int64_t r = 0; r < weights.n_rows; r += kRowsTogether) {
    const WeightRows rows = weights.slice(r, std::min(kRowsTogether, weights.n_rows - r));
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
