// Row dots on raw blocks: each weight byte is read once, expanded in registers and used
// for up to kMaxColumns activation rows. Included by one .cc file per level.
#include <algorithm>

#include "kernels/cpu/dot_block.h"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/quantize.inl"

namespace moebius::cpu {
namespace {

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

// Two rows at once meet several columns: these are loaded for both.
template <int kColumns>
constexpr int kRowsAtOnce = Simd::kSumsPerBlock == 1 && kColumns > 1 ? 2 : 1;

// Rows that meet a segment of the columns before the next. A segment stays in the first cache;
// the more rows, the less often it comes from the second.
template <int kColumns>
constexpr int64_t kRowsTogether = kColumns > 1 ? 16 : 4;
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
  void load(const uint8_t* p, PreparedBlock<Format>& block, int64_t b = 0) {
    block.load(whole_block<Format>(p, end, copy), indices + b * kIndices<Format>, grids);
  }
};

// Where the reading of a run goes on: segment by segment of a group of rows, then the next
// group. Segments are equal, so that what one step fetches for another fits.
struct Path {
  // What to fetch while a segment is at work: how far behind its first block that begins, how
  // much farther behind each further one, and the bytes from a row to the next.
  struct Fetches {
    int64_t ahead, farther, row;
  };

  int64_t row_bytes, block_bytes, n_blocks, n_segments, group_rows;

  int64_t segment_blocks() const { return (n_blocks + n_segments - 1) / n_segments; }
  // Where segment k begins, of those of all rows.
  int64_t offset(int64_t k) const {
    const int64_t group = k / (group_rows * n_segments), step = k % (group_rows * n_segments);
    return (group * group_rows + step % group_rows) * row_bytes + step / group_rows * segment_blocks() * block_bytes;
  }
  // For n_rows at once from segment k on: what comes two steps later. Whole rows are one stream.
  Fetches fetches(int64_t k, int64_t n_rows) const {
    if (n_segments > 1) return {offset(k + 2 * n_rows) - offset(k), 0, row_bytes};
    return {kFetchAhead + (n_rows - 1) * row_bytes, (n_rows - 1) * block_bytes, block_bytes};
  }
};

// sums[i][c]: blocks [begin, end) of row r + i times those of column c.
template <typename Format, int kRows, int kColumns>
inline void add_segment(Run<Format>& run, int64_t r, int64_t begin, int64_t end, const Path::Fetches& fetches,
                        const ActivationBlock* const* columns, RowSums (*sums)[kColumns]) {
  constexpr int kStep = Run<Format>::kStep;
  const uint8_t* p = run.row(r) + begin * kStep;
  int64_t ahead = run.read_ahead.distance(p, fetches.ahead);
  RowSums own[kRows][kColumns];
  for (int i = 0; i < kRows; ++i)
    for (int c = 0; c < kColumns; ++c) {
      if (begin == 0) {
        own[i][c].clear();
      } else {
        own[i][c] = sums[i][c];
      }
    }
  run.find_indices(p, end - begin);
  // Counted down, so that GCC walks the columns in bytes.
  for (int64_t b = begin, left = end - begin; left > 0; --left, ++b, p += kStep, ahead += fetches.farther) {
    PreparedBlock<Format> blocks[kRows];
    for (int i = 0; i < kRows; ++i) {
      fetch_ahead(p, kStep, ahead + i * fetches.row);
      run.load(p + i * static_cast<int64_t>(run.weights.row_bytes), blocks[i], b - begin);
    }
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      if constexpr (kRows == 1) {
        own[0][c].add(blocks[0], columns[c][b]);
      } else {
        add_to_two(blocks, columns[c][b], own[0][c], own[1][c]);
      }
    }
  }
  for (int i = 0; i < kRows; ++i)
    for (int c = 0; c < kColumns; ++c) sums[i][c] = own[i][c];
}

// The same for a group of n_rows, of which the first segment is number `step` of the path.
template <typename Format, int kColumns>
inline void add_group(Run<Format>& run, const Path& path, int64_t r, int64_t n_rows, int64_t step,
                      const ActivationBlock* const* columns, RowSums (*sums)[kColumns]) {
  constexpr int kRows = kRowsAtOnce<kColumns>;
  const int64_t segment = path.segment_blocks();
  for (int64_t begin = 0; begin < path.n_blocks; begin += segment) {
    const int64_t end = std::min(path.n_blocks, begin + segment);
    int64_t i = 0;
    for (; i + kRows <= n_rows; i += kRows, step += kRows)
      add_segment<Format, kRows, kColumns>(run, r + i, begin, end, path.fetches(step, kRows), columns, sums + i);
    if constexpr (kRows > 1)
      if (i < n_rows) add_segment<Format, 1, kColumns>(run, r + i, begin, end, path.fetches(step++, 1), columns, sums + i);
  }
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
  constexpr int64_t kGroupRows = kRowsTogether<kColumns>, kMostBlocks = kSegmentBlocks<kColumns>;
  const int64_t n_blocks = activation_blocks(weights.n_in);
  const Path path{static_cast<int64_t>(weights.row_bytes), Run<Format>::kStep, n_blocks, (n_blocks + kMostBlocks - 1) / kMostBlocks,
                  std::min(kGroupRows, weights.n_rows)};
  for (int64_t first = 0, step = 0; first < weights.n_rows; first += kGroupRows) {
    const int64_t n = std::min(kGroupRows, weights.n_rows - first);
    RowSums sums[kGroupRows][kColumns];
    for (int64_t i = n; i < (n + 3) / 4 * 4; ++i)
      for (RowSums& unused : sums[i]) unused.clear();
    add_group<Format, kColumns>(run, path, first, n, step, columns, sums);
    step += n * path.n_segments;
    for (int64_t i = 0; i < n; i += 4)
      for (int c = 0; c < kColumns; ++c) {
        const auto total = [&](int64_t row) { return sums[i + row][c].total(); };
        store_sums(out + c * out_stride + first + i, Simd::sums4(total(0), total(1), total(2), total(3)), n - i);
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
  for (int64_t r = 0; r < weights.n_rows; r += 4) {
    Simd::F totals[kColumns][4] = {};
    for (int64_t i = 0; i < 4 && r + i < weights.n_rows; i += 2) {
      PreparedBlock<Format> block;
      const uint8_t* row = run.row(r + i);
      fetch_ahead(row, Run<Format>::kStep, run.read_ahead.distance(row));
      run.load(row, block);
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
  // Wider calls go a group of rows at a time, which stay in the caches between the passes.
  constexpr int64_t kGroupRows = kRowsTogether<Simd::kDotColumns>;
  for (int64_t r = 0; r < weights.n_rows; r += kGroupRows) {
    const WeightRows rows = weights.slice(r, std::min(kGroupRows, weights.n_rows - r));
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
