// Expansion of weight tiles and the tile products for AArch64. The float tiles are those of
// every level; the codes of a TileBlock and of a ColumnBlock are laid out for one of two steps:
//   dot product:     codes [8, 64, 4, 4]: 4 inputs of each of 4 rows, a lane a row;
//                    columns [64, 6, 4]
//   matrix product:  codes [16, 32, 2, 8]: 8 inputs of each of 2 rows, a vector a pair;
//                    columns [32, 3, 2, 8]
// Scales and mins are [8, 16, 4] in both.
#include "kernels/cpu/expand_neon_iq.h"
#include "kernels/cpu/float_tiles.inl"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/tiles.h"

namespace moebius::cpu {
namespace {

// in [kLanes][16] floats -> out [16, kLanes]
inline void transpose_factors(const float (&rows)[kLanes][16], int count, float* out) {
  for (int begin = 0; begin < count; begin += kLanes) {
    Simd::I values[kLanes];
    for (int r = 0; r < kLanes; ++r) values[r] = Simd::load_int(rows[r] + begin);
    Simd::transpose(values);
    for (int i = 0; i < kLanes; ++i) Simd::store_int(out + (begin + i) * kLanes, values[i]);
  }
}

// The codes of four rows, 16 inputs of each, in the level's order; out: those of these rows.
inline void store_codes(const int8x16_t (&codes)[kLanes][16], int i, uint8_t* out) {
#ifdef __ARM_FEATURE_MATMUL_INT8
  for (int pair = 0; pair < 2; ++pair) {
    const int64x2_t a = vreinterpretq_s64_s8(codes[2 * pair][i]), b = vreinterpretq_s64_s8(codes[2 * pair + 1][i]);
    uint8_t* to = out + pair * 512 + 2 * i * 16;
    Simd::store_int(to, vreinterpretq_s32_s64(vzip1q_s64(a, b)));
    Simd::store_int(to + 16, vreinterpretq_s32_s64(vzip2q_s64(a, b)));
  }
#else
  Simd::I words[kLanes];
  for (int r = 0; r < kLanes; ++r) words[r] = vreinterpretq_s32_s8(codes[r][i]);
  Simd::transpose(words);
  for (int r = 0; r < kLanes; ++r) Simd::store_int(out + (4 * i + r) * 16, words[r]);
#endif
}

template <QuantFormat format>
void expand_tile(const WeightRows& rows, int64_t block_index, TileBlock* out) {
  using Format = BlockFormat<format>;
  constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;
  constexpr int kFactors = 256 / Format::kGroup;
  const Codebooks& books = codebooks();
  const int64_t elements = rows.n_in - block_index * 256;
  const int64_t bytes = elements / Format::kBlockElements * Format::kBlockBytes;
  int8x16_t codes[kLanes][16];
  float scales[kLanes][16], mins[kLanes][16];
  for (int v = 0; v < kRowVectors; ++v) {
    for (int r = 0; r < kLanes; ++r) {
      // Rows beyond the matrix repeat its last one; nobody reads their results.
      const int64_t index = v * kLanes + r < rows.n_rows ? v * kLanes + r : rows.n_rows - 1;
      const uint8_t* p = rows.data + static_cast<size_t>(index) * rows.row_bytes + block_index * kStep;
      uint8_t tail[kStep];
      if (elements < 256) {
        std::memset(tail, 0, sizeof tail);
        std::memcpy(tail, p, static_cast<size_t>(bytes));
        p = tail;
      }
      Expanded block;
      Format::expand(p, books, block);
      for (int i = 0; i < 16; ++i) codes[r][i] = block.codes[i];
      for (int part = 0; part < kFactors / kLanes; ++part) {
        Simd::store(scales[r] + kLanes * part, block.scales[part]);
        if constexpr (Format::kHasMin) Simd::store(mins[r] + kLanes * part, block.mins[part]);
      }
    }
    for (int i = 0; i < 16; ++i) store_codes(codes, i, out->codes + v * kLanes * 256);
    transpose_factors(scales, kFactors, out->scales + v * kLanes * 16);
    if constexpr (Format::kHasMin) transpose_factors(mins, kFactors, out->mins + v * kLanes * 16);
  }
}

// One product multiplies 8 rows with up to six columns over 256 inputs.
constexpr int kProductVectors = 2;

#ifdef __ARM_FEATURE_MATMUL_INT8

// Two rows x two columns: [row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1].
constexpr int kRowPairs = 2 * kProductVectors;

inline float32x4_t column_pair(const float* p) {
  const float32x2_t pair = vld1_f32(p);
  return vcombine_f32(pair, pair);
}

template <int kGroup, bool kHasMin, int kColumns>
inline void multiply_block(const TileBlock& tile, int first_vector, const ColumnBlock& x, float* c) {
  constexpr int kPairs = (kColumns + 1) / 2;
  const uint8_t* codes = tile.codes + first_vector * kLanes * 256;
  const int8_t* inputs = x.codes[0][0];
  const float *scales = tile.scales + first_vector * kLanes * 16, *mins = tile.mins + first_vector * kLanes * 16;
  float32x4_t sums[kRowPairs][kPairs];
#pragma GCC unroll 4
  for (int r = 0; r < kRowPairs; ++r)
#pragma GCC unroll 3
    for (int i = 0; i < kPairs; ++i) sums[r][i] = vdupq_n_f32(0);
#pragma GCC unroll 1
  for (int g = 0; g < 256 / kGroup; ++g) {
    int32x4_t dots[kRowPairs][kPairs];
#pragma GCC unroll 4
    for (int r = 0; r < kRowPairs; ++r)
#pragma GCC unroll 3
      for (int i = 0; i < kPairs; ++i) dots[r][i] = vdupq_n_s32(0);
#pragma GCC unroll 4
    for (int s = g * (kGroup / 8); s < (g + 1) * (kGroup / 8); ++s) {
      int8x16_t w[kRowPairs];
#pragma GCC unroll 4
      for (int r = 0; r < kRowPairs; ++r) w[r] = vreinterpretq_s8_u8(vld1q_u8(codes + r * 512 + s * 16));
#pragma GCC unroll 3
      for (int i = 0; i < kPairs; ++i) {
        const int8x16_t values = vld1q_s8(inputs + (s * 3 + i) * 16);
#pragma GCC unroll 4
        for (int r = 0; r < kRowPairs; ++r) dots[r][i] = vmmlaq_s32(dots[r][i], w[r], values);
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < kProductVectors; ++v) {
      const float32x4_t scale = vld1q_f32(scales + v * kLanes * 16 + g * kLanes), both[2] = {vzip1q_f32(scale, scale), vzip2q_f32(scale, scale)};
#pragma GCC unroll 3
      for (int i = 0; i < kPairs; ++i) {
        const float32x4_t factor = column_pair(x.scales[g * kGroup / 32] + 2 * i);
#pragma GCC unroll 2
        for (int r = 0; r < 2; ++r)
          sums[2 * v + r][i] = vfmaq_f32(sums[2 * v + r][i], vcvtq_f32_s32(dots[2 * v + r][i]), vmulq_f32(both[r], factor));
      }
      if constexpr (kHasMin) {
        const float32x4_t min = vld1q_f32(mins + v * kLanes * 16 + g * kLanes), pair[2] = {vzip1q_f32(min, min), vzip2q_f32(min, min)};
#pragma GCC unroll 3
        for (int i = 0; i < kPairs; ++i) {
          const float32x4_t total = column_pair((kGroup == 32 ? x.sums32[g] : x.sums16[g]) + 2 * i);
#pragma GCC unroll 2
          for (int r = 0; r < 2; ++r) sums[2 * v + r][i] = vfmsq_f32(sums[2 * v + r][i], pair[r], total);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kProductVectors; ++v)
#pragma GCC unroll 3
    for (int i = 0; i < kPairs; ++i) {
      const float32x4_t first = sums[2 * v][i], second = sums[2 * v + 1][i];
      float* to = c + 2 * i * kTileRows + (first_vector + v) * kLanes;
      Simd::store(to, vaddq_f32(Simd::load(to), vuzp1q_f32(first, second)));
      to += kTileRows;
      if (2 * i + 1 < kColumns) Simd::store(to, vaddq_f32(Simd::load(to), vuzp2q_f32(first, second)));
    }
}

// The codes of six columns: [32, 3, 2, 8].
inline void pack_codes(const int8_t* from, int g, int column, ColumnBlock& block) {
  int8_t* to = block.codes[0][0] + column * 8;
  for (int step = 4 * g; step < 4 * g + 4; ++step) std::memcpy(to + step * 48, from + step * 8, 8);
}

#else

// dots[v][i] += the products of four inputs of 8 rows and up to six columns. A lane of a
// register holds the inputs of one column.
template <int kColumns>
inline void add_dots(const uint8_t* codes, const int8_t* inputs, int32x4_t (&dots)[kProductVectors][kColumns]) {
  const int8x16_t first = vld1q_s8(inputs);
  int8x16_t second = first;
  if constexpr (kColumns > 4) second = vcombine_s8(vld1_s8(inputs + 16), vdup_n_s8(0));
#pragma GCC unroll 2
  for (int v = 0; v < kProductVectors; ++v) {
    const int8x16_t w = vreinterpretq_s8_u8(vld1q_u8(codes + v * kLanes * 256));
    dots[v][0] = Simd::dot_lane<0>(dots[v][0], w, first);
    if constexpr (kColumns > 1) dots[v][1] = Simd::dot_lane<1>(dots[v][1], w, first);
    if constexpr (kColumns > 2) dots[v][2] = Simd::dot_lane<2>(dots[v][2], w, first);
    if constexpr (kColumns > 3) dots[v][3] = Simd::dot_lane<3>(dots[v][3], w, first);
    if constexpr (kColumns > 4) dots[v][4] = Simd::dot_lane<0>(dots[v][4], w, second);
    if constexpr (kColumns > 5) dots[v][5] = Simd::dot_lane<1>(dots[v][5], w, second);
  }
}

template <int kGroup, bool kHasMin, int kColumns>
inline void multiply_block(const TileBlock& tile, int first_vector, const ColumnBlock& x, float* c) {
  const uint8_t* codes = tile.codes + first_vector * kLanes * 256;
  const float *scales = tile.scales + first_vector * kLanes * 16, *mins = tile.mins + first_vector * kLanes * 16;
  float32x4_t sums[kProductVectors][kColumns];
#pragma GCC unroll 2
  for (int v = 0; v < kProductVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) sums[v][i] = vdupq_n_f32(0);
#pragma GCC unroll 1
  for (int g = 0; g < 256 / kGroup; ++g) {
    int32x4_t dots[kProductVectors][kColumns];
#pragma GCC unroll 2
    for (int v = 0; v < kProductVectors; ++v)
#pragma GCC unroll 6
      for (int i = 0; i < kColumns; ++i) dots[v][i] = vdupq_n_s32(0);
#pragma GCC unroll 8
    for (int s = g * (kGroup / 4); s < (g + 1) * (kGroup / 4); ++s) add_dots<kColumns>(codes + s * 16, x.codes[s][0], dots);
#pragma GCC unroll 2
    for (int v = 0; v < kProductVectors; ++v) {
      const float32x4_t scale = Simd::load(scales + v * kLanes * 16 + g * kLanes);
#pragma GCC unroll 6
      for (int i = 0; i < kColumns; ++i)
        sums[v][i] = vfmaq_f32(sums[v][i], vcvtq_f32_s32(dots[v][i]), vmulq_n_f32(scale, x.scales[g * kGroup / 32][i]));
      if constexpr (kHasMin) {
        const float32x4_t min = Simd::load(mins + v * kLanes * 16 + g * kLanes);
#pragma GCC unroll 6
        for (int i = 0; i < kColumns; ++i)
          sums[v][i] = vfmsq_n_f32(sums[v][i], min, kGroup == 32 ? x.sums32[g][i] : x.sums16[g][i]);
      }
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kProductVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) {
      float* to = c + i * kTileRows + (first_vector + v) * kLanes;
      Simd::store(to, vaddq_f32(Simd::load(to), sums[v][i]));
    }
}

// The codes of six columns: [64, 6, 4].
inline void pack_codes(const int8_t* from, int g, int column, ColumnBlock& block) {
  for (int line = 8 * g; line < 8 * g + 8; ++line) std::memcpy(block.codes[line][column], from + line * 4, 4);
}

#endif

template <int kGroup, bool kHasMin>
void multiply_tile(const TileBlock& tile, const PanelBlock& x, int64_t n_columns, Upcoming next, float* c) {
  const ColumnBlock* columns = x.panels + x.block;
  // Evenly over the columns: a burst would hold up the loads of the kernel itself.
  const int64_t fetch = (next.bytes / 64 * kTileColumns / n_columns + 1) * 64;
  for (int64_t i = 0; i < n_columns; i += kTileColumns, columns += x.n_blocks, c += kTileColumns * kTileRows) {
    const int64_t fetch_now = fetch < next.bytes ? fetch : next.bytes;
    for (int64_t line = 0; line < fetch_now; line += 64) __builtin_prefetch(next.data + line, 0, 2);
    next.data += fetch_now;
    next.bytes -= fetch_now;
    for (int v = 0; v < kRowVectors; v += kProductVectors) {
      switch (n_columns - i) {
        case 1: multiply_block<kGroup, kHasMin, 1>(tile, v, *columns, c); break;
        case 2: multiply_block<kGroup, kHasMin, 2>(tile, v, *columns, c); break;
        case 3: multiply_block<kGroup, kHasMin, 3>(tile, v, *columns, c); break;
        case 4: multiply_block<kGroup, kHasMin, 4>(tile, v, *columns, c); break;
        case 5: multiply_block<kGroup, kHasMin, 5>(tile, v, *columns, c); break;
        default: multiply_block<kGroup, kHasMin, 6>(tile, v, *columns, c); break;
      }
    }
  }
}

// Signed codes need no offsets: those of the blocks stay unset.
inline void pack_group(const ActivationBlock& from, int g, int column, ColumnBlock& to) {
  pack_codes(from.codes, g, column, to);
  to.scales[g][column] = from.scales[g];
  to.sums32[g][column] = from.sums32[g];
  for (int half = 2 * g; half < 2 * g + 2; ++half) to.sums16[half][column] = from.sums16[half];
}

// Missing columns repeat the first; nobody reads their results.
void pack_groups(const ActivationBlock* const* rows, int n_columns, GroupRange groups, int64_t, ColumnBlock* panel) {
  for (int64_t g = groups.first; g < groups.end; ++g)
    for (int i = 0; i < kTileColumns; ++i)
      pack_group(rows[i < n_columns ? i : 0][g / 8 - groups.first / 8], static_cast<int>(g % 8), i, panel[g / 8]);
}

}  // namespace

namespace MOEBIUS_LEVEL {

namespace {
template <QuantFormat format>
void fill_format(LevelOps& ops) {
  using Format = BlockFormat<format>;
  ops.expand_tile[static_cast<int>(format)] = expand_tile<format>;
  ops.multiply_tile[static_cast<int>(format)] = multiply_tile<Format::kGroup, Format::kHasMin>;
}
}  // namespace

void fill_tile_ops(LevelOps& ops) {
  ops.pack_groups = pack_groups;
  fill_float_tile_ops(ops);
#define MOEBIUS_TILE(name) fill_format<QuantFormat::name>(ops);
  MOEBIUS_QUANTISED_FORMATS(MOEBIUS_TILE)
#undef MOEBIUS_TILE
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
