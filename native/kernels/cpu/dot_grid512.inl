// Row dots of the IQ formats on grids with AVX-512; their expansion is in expand_grid512.h.
#include "kernels/cpu/dot_grid.h"
#include "kernels/cpu/expand_formats.h"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {
namespace {

// Blocks of a column that are laid out at once, and rows that share them.
constexpr int64_t kSpanBlocks = 16, kSpanRows = 32;

// Words of a quarter of the codes (two groups), sorted by the vector they go to.
template <LaneOrder order>
inline __m512i word_order() {
  alignas(64) uint16_t words[32];
  for (int i = 0; i < 32; ++i) {
    const int v = i / 8, group = i / 4 % 2, word = i % 4;
    const int from = order == LaneOrder::kPairsOf8 ? 4 * word + v : order == LaneOrder::kPairsOf4 ? v / 2 * 8 + 2 * word + v % 2 : 4 * v + word;
    words[i] = static_cast<uint16_t>(16 * group + from);
  }
  return _mm512_load_si512(words);
}

template <typename Format>
inline void lay_out(const ActivationBlock& from, LaneBlock& to) {
  using Wide = WideFormat<Format::kFormat>;
  const __m512i words = word_order<Wide::kOrder>();
  __m512i quarters[4];
  for (int q = 0; q < 4; ++q) quarters[q] = _mm512_permutexvar_epi16(words, _mm512_load_si512(from.codes + 64 * q));
  const __m512i low01 = _mm512_shuffle_i64x2(quarters[0], quarters[1], 0x44), high01 = _mm512_shuffle_i64x2(quarters[0], quarters[1], 0xee);
  const __m512i low23 = _mm512_shuffle_i64x2(quarters[2], quarters[3], 0x44), high23 = _mm512_shuffle_i64x2(quarters[2], quarters[3], 0xee);
  const __m512i vectors[4] = {_mm512_shuffle_i64x2(low01, low23, 0x88), _mm512_shuffle_i64x2(low01, low23, 0xdd),
                              _mm512_shuffle_i64x2(high01, high23, 0x88), _mm512_shuffle_i64x2(high01, high23, 0xdd)};
  for (int v = 0; v < 4; ++v) _mm512_store_si512(to.codes[v], vectors[v]);
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  const __m512 scales = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_load_ps(from.scales)));
  _mm512_store_ps(to.scales, _mm512_mul_ps(scales, _mm512_set1_ps(Wide::kStep)));
  const __m512i offsets = _mm512_set1_epi8(Format::kOffset), none = _mm512_setzero_si512();
  __m512i starts[2];
  for (int half = 0; half < 2; ++half)
    starts[half] = _mm512_sub_epi32(none, Simd::dot(Simd::dot(none, offsets, vectors[2 * half]), offsets, vectors[2 * half + 1]));
  if (!Wide::kTwoFactors) starts[0] = _mm512_add_epi32(starts[0], starts[1]);
  for (int half = 0; half < 2; ++half) _mm512_store_si512(to.starts[half], starts[half]);
}

// sum += the block's dot, in 16 lanes.
template <typename Format>
inline __m512 add_lanes(const __m512i* codes, __m512 low, __m512 high, const LaneBlock& x, __m512 sum) {
  const auto dots = [&](int half, __m512i start) {
    return Simd::dot(Simd::dot(start, codes[2 * half], _mm512_load_si512(x.codes[2 * half])), codes[2 * half + 1],
                     _mm512_load_si512(x.codes[2 * half + 1]));
  };
  const __m512 scales = _mm512_load_ps(x.scales);
  const __m512i first = dots(0, _mm512_load_si512(x.starts[0]));
  if constexpr (!WideFormat<Format::kFormat>::kTwoFactors) {
    const __m512i all = _mm512_add_epi32(first, dots(1, _mm512_setzero_si512()));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(all), _mm512_mul_ps(low, scales), sum);
  } else {
    const __m512i second = dots(1, _mm512_load_si512(x.starts[1]));
    const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second), high, _mm512_mul_ps(_mm512_cvtepi32_ps(first), low));
    return _mm512_fmadd_ps(both, scales, sum);
  }
}

// All columns of up to kSpanRows rows.
template <typename Format, int kColumns>
void dot_grid_rows(const WeightRows& weights, const GridTables& tables, const ActivationBlock* const* columns, float* out, int64_t out_stride) {
  using Wide = WideFormat<Format::kFormat>;
  const int64_t n_blocks = weights.n_in / 256;
  const ReadAhead read_ahead = ReadAhead::of(weights);
  LaneBlock x[kColumns][kSpanBlocks];
  __m512 sums[kSpanRows][kColumns];
  constexpr bool kIndexed = Wide::kOrder == LaneOrder::kEntries;
  alignas(64) uint16_t indices[2][kIndexed ? kSpanBlocks : 1][32];  // of a row and of the next
  for (int64_t r = 0; r < weights.n_rows; ++r)
    for (int c = 0; c < kColumns; ++c) sums[r][c] = _mm512_setzero_ps();
  for (int64_t first = 0; first < n_blocks; first += kSpanBlocks) {
    const int64_t n = n_blocks - first < kSpanBlocks ? n_blocks - first : kSpanBlocks;
    for (int c = 0; c < kColumns; ++c)
      for (int64_t b = 0; b < n; ++b) lay_out<Format>(columns[c][first + b], x[c][b]);
    const auto block_of = [&](int64_t r, int64_t b) { return weights.row(r) + (first + b) * Format::kBlockBytes; };
    if constexpr (kIndexed)
      for (int64_t b = 0; b < n; ++b) _mm512_store_si512(indices[0][b], Wide::indices(block_of(0, b)));
    for (int64_t r = 0; r < weights.n_rows; ++r) {
      const int64_t ahead = read_ahead.distance(block_of(r, 0));
      const int64_t next = r + 1 < weights.n_rows ? r + 1 : r;
      __m512 totals[kColumns];
      for (int c = 0; c < kColumns; ++c) totals[c] = sums[r][c];
      for (int64_t b = 0; b < n; ++b) {
        const uint8_t* p = block_of(r, b);
        fetch_ahead(p, Format::kBlockBytes, ahead);
        if constexpr (kIndexed) _mm512_store_si512(indices[(r + 1) % 2][b], Wide::indices(block_of(next, b)));
        __m512i codes[4];
        __m512 low, high = _mm512_setzero_ps();
        Wide::codes(p, indices[kIndexed ? r % 2 : 0][kIndexed ? b : 0], tables, codes);
        Wide::factors(p, low, high);
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c) totals[c] = add_lanes<Format>(codes, low, high, x[c][b], totals[c]);
      }
      for (int c = 0; c < kColumns; ++c) sums[r][c] = totals[c];
    }
  }
  for (int64_t r = 0; r < weights.n_rows; ++r)
    for (int c = 0; c < kColumns; ++c) out[c * out_stride + r] = Simd::sum(sums[r][c]);
}

template <QuantFormat format>
void dot_grid(const WeightRows& weights, const ActivationBlock* const* columns, int n_columns, float* out, int64_t out_stride) {
  using Format = BlockFormat<format>;
  const GridTables& tables = grid_tables();
  for (int64_t r = 0; r < weights.n_rows; r += kSpanRows) {
    const int64_t n_rows = weights.n_rows - r < kSpanRows ? weights.n_rows - r : kSpanRows;
    const WeightRows rows = weights.slice(r, n_rows);
    for (int c = 0; c < n_columns;) {
      const int n = n_columns - c >= 8 ? 8 : n_columns - c < 4 ? n_columns - c : 4;
      float* to = out + c * out_stride + r;
      switch (n) {
        case 1: dot_grid_rows<Format, 1>(rows, tables, columns + c, to, out_stride); break;
        case 2: dot_grid_rows<Format, 2>(rows, tables, columns + c, to, out_stride); break;
        case 3: dot_grid_rows<Format, 3>(rows, tables, columns + c, to, out_stride); break;
        case 4: dot_grid_rows<Format, 4>(rows, tables, columns + c, to, out_stride); break;
        default: dot_grid_rows<Format, 8>(rows, tables, columns + c, to, out_stride); break;
      }
      c += n;
    }
  }
}

}  // namespace

namespace MOEBIUS_LEVEL {

void fill_grid_dot_ops(LevelOps& ops) {
#define MOEBIUS_DOT(name) ops.dot_rows[static_cast<int>(QuantFormat::name)] = dot_grid<QuantFormat::name>;
  MOEBIUS_GRID_FORMATS(MOEBIUS_DOT)
#undef MOEBIUS_DOT
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
