// Expansion of weight tiles and the tile products; layouts in tiles.h. One .cc per level.
#include "kernels/cpu/expand_lanes.h"
#include "kernels/cpu/float_tiles.inl"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/tiles.h"

namespace moebius::cpu {
namespace {

// How the codes of a tile are read; see the formats' traits in expand.h.
enum class TileMode {
  kMins,    // u8 codes, f32 mins
  kOffset,  // u8 codes with kTileOffset subtracted through the column sums
  kSigned,  // s8 codes, without VNNI
};

template <typename Format>
constexpr TileMode tile_mode() {
  if (Format::kHasMin) return TileMode::kMins;
  return Format::kSigned && Simd::kSignedOffset == 0 ? TileMode::kSigned : TileMode::kOffset;
}

// rows [kLanes, 16] floats -> the first `count` lines of out [16, kLanes]
inline void transpose_factors(const float (&rows)[kLanes][16], int count, float* out) {
  const uint8_t* pointers[kLanes];
  for (int r = 0; r < kLanes; ++r) pointers[r] = reinterpret_cast<const uint8_t*>(rows[r]);
  for (int begin = 0; begin < count; begin += 4) {
    Simd::I lines[4];
    Simd::gather_words(pointers, begin * 4, lines);
    for (int i = 0; i < 4; ++i) Simd::store_int(out + (begin + i) * kLanes, lines[i]);
  }
}

// 256 inputs of kLanes rows, through codes row by row.
template <typename Format>
void expand_lines(const Grids& grids, Rows rows, uint8_t* lines) {
  constexpr int kVectors = Simd::kVectorsPerBlock;
  alignas(64) uint8_t codes[kLanes][256];
  alignas(64) uint16_t indices[kLanes][32];
  for (int r = 0; r < kLanes; ++r) store_indices<Format>(rows[r], indices[r]);
  for (int r = 0; r < kLanes; ++r) {
    Simd::I vectors[kVectors];
    expand_for_lines<Format>(rows[r], indices[r], grids, vectors);
    for (int i = 0; i < kVectors; ++i) {
      // Offset formats move to the common offset.
      if constexpr (!Format::kHasMin && !Format::kSigned) vectors[i] = Simd::add_bytes(vectors[i], kTileOffset - Format::kOffset);
      Simd::store_int(codes[r] + i * (256 / kVectors), vectors[i]);
    }
  }
  for (int i = 0; i < kVectors; ++i) {
    Simd::I words[kLanes];
    for (int r = 0; r < kLanes; ++r) words[r] = Simd::load_int(codes[r] + i * (256 / kVectors));
    Simd::transpose(words);
    for (int word = 0; word < kLanes; ++word) Simd::store_int(lines + line_of<Format>(i, word) * kLanes * 4, words[word]);
  }
}

template <typename Format>
void expand_factors(const Grids& grids, Rows rows, float* out_scales, float* out_mins) {
  constexpr int kFactors = 256 / Format::kGroup;
  alignas(64) float scales[kLanes][16], mins[kLanes][16];
  for (int r = 0; r < kLanes; ++r) {
    Expanded block;
    Format::expand(rows[r], *grids.books, block);
    for (int half = 0; half < kFactors / 8; ++half) {
      _mm256_store_ps(scales[r] + 8 * half, block.scales[half]);
      if constexpr (Format::kHasMin) _mm256_store_ps(mins[r] + 8 * half, block.mins[half]);
    }
  }
  transpose_factors(scales, kFactors, out_scales);
  if constexpr (Format::kHasMin) transpose_factors(mins, kFactors, out_mins);
}

template <QuantFormat format>
void expand_tile(const WeightRows& rows, int64_t block_index, TileBlock* out) {
  using Format = BlockFormat<format>;
  using Lanes = LaneFormat<format>;
  constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;
  const Grids grids = find_grids();
  const int64_t elements = rows.n_in - block_index * 256;
  for (int v = 0; v < kRowVectors; ++v) {
    const uint8_t* blocks[kLanes];
    alignas(32) uint8_t tails[kLanes][kStep];
    for (int r = 0; r < kLanes; ++r) {
      // Rows beyond the matrix repeat its last one; nobody reads their results.
      const int64_t index = v * kLanes + r < rows.n_rows ? v * kLanes + r : rows.n_rows - 1;
      blocks[r] = rows.data + static_cast<size_t>(index) * rows.row_bytes + block_index * kStep;
      if (elements >= 256) continue;
      std::memset(tails[r], 0, kStep);
      std::memcpy(tails[r], blocks[r], static_cast<size_t>(elements / Format::kBlockElements * Format::kBlockBytes));
      blocks[r] = tails[r];
    }
    uint8_t* lines = out->codes + v * kLanes * 256;
    float *scales = out->scales + v * kLanes * 16, *mins = out->mins + v * kLanes * 16;
    if constexpr (!Lanes::kExists) {
      expand_lines<Format>(grids, blocks, lines);
      expand_factors<Format>(grids, blocks, scales, mins);
    } else {
      Lanes::lines(blocks, lines);
      if constexpr (Lanes::kHasFactors) {
        Lanes::factors(blocks, scales, mins);
      } else {
        expand_factors<Format>(grids, blocks, scales, mins);
      }
    }
  }
}

template <TileMode mode>
inline Simd::I first_sum(const int32_t* offset) {
  if constexpr (mode != TileMode::kOffset) return Simd::zero_int();
  if constexpr (kTileOffset == 64) return Simd::template shift_right<1>(Simd::broadcast_int(offset));
  return Simd::broadcast_int(offset);
}

template <TileMode mode>
inline Simd::I tile_dot(Simd::I sum, Simd::I codes, Simd::I x) {
  if constexpr (mode == TileMode::kSigned) return Simd::dot_signed(sum, codes, x);
  return Simd::dot(sum, codes, x);
}

// Without VNNI small codes are summed as 16-bit pairs first: this many steps cannot overflow.
template <int kMaxCode>
constexpr int kPairSteps = 32767 / (kMaxCode * 2 * 127);

// dots[v][i] += the four-way dots of the kSteps lines from `line` on.
template <int kSteps, TileMode mode, int kMaxCode, int kVectors, int kColumns>
inline void add_dots(const uint8_t* codes, const ColumnBlock& x, int line, Simd::I (&dots)[kVectors][kColumns]) {
  constexpr bool kInPairs = Simd::kSignedOffset == 0 && mode == TileMode::kMins && kPairSteps<kMaxCode> >= 4;
  constexpr int kRun = kInPairs ? (kPairSteps<kMaxCode> >= kSteps ? kSteps : 4) : kSteps;
#pragma GCC unroll 2
  for (int begin = 0; begin < kSteps; begin += kRun) {
    Simd::I pairs[kVectors][kColumns];
#pragma GCC unroll 8
    for (int s = begin; s < begin + kRun; ++s) {
      Simd::I weights[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) weights[v] = Simd::load_aligned(codes + v * kLanes * 256 + (line + s) * kLanes * 4);
#pragma GCC unroll 6
      for (int i = 0; i < kColumns; ++i) {
        const Simd::I values = Simd::broadcast_int(reinterpret_cast<const int32_t*>(x.codes[line + s][i]));
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          if constexpr (kInPairs) {
            const Simd::I products = Simd::pair_products(weights[v], values);
            pairs[v][i] = s == begin ? products : Simd::add_pairs(pairs[v][i], products);
          } else {
            dots[v][i] = tile_dot<mode>(dots[v][i], weights[v], values);
          }
        }
      }
    }
    if constexpr (kInPairs) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
        for (int i = 0; i < kColumns; ++i) dots[v][i] = Simd::sum_pairs(dots[v][i], pairs[v][i]);
    }
  }
}

// c[column][row] += for kVectors vectors of rows and kColumns columns over 256 inputs.
template <int kGroup, int kMinGroup, TileMode mode, int kMaxCode, int kColumns>
inline void multiply_block(const TileBlock& tile, int first_vector, const ColumnBlock& x, float* c) {
  constexpr int kVectors = Simd::kTileVectors, kSteps = kGroup / 4;
  const uint8_t* codes = tile.codes + first_vector * kLanes * 256;
  const float *scales = tile.scales + first_vector * kLanes * 16, *mins = tile.mins + first_vector * kLanes * 16;
  Simd::F sums[kVectors][kColumns];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) sums[v][i] = Simd::load(c + i * kTileRows + (first_vector + v) * kLanes);
#pragma GCC unroll 1
  for (int g = 0; g < 256 / kGroup; ++g) {
    Simd::I dots[kVectors][kColumns];
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) {
      dots[0][i] = first_sum<mode>(kGroup == 32 ? &x.offsets32[g][i] : &x.offsets16[g][i]);
      for (int v = 1; v < kVectors; ++v) dots[v][i] = dots[0][i];
    }
    add_dots<kSteps, mode, kMaxCode>(codes, x, g * kSteps, dots);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Simd::F scale = Simd::load(scales + v * kLanes * 16 + g * kLanes);
#pragma GCC unroll 6
      for (int i = 0; i < kColumns; ++i)
        sums[v][i] = Simd::fma(Simd::to_float(dots[v][i]), Simd::mul(scale, Simd::set1(x.scales[g * kGroup / 32][i])), sums[v][i]);
      if constexpr (mode == TileMode::kMins) {
#pragma GCC unroll 2
        for (int m = g * kGroup / kMinGroup; m < (g + 1) * kGroup / kMinGroup; ++m) {
          const Simd::F min = Simd::load(mins + v * kLanes * 16 + m * kLanes);
#pragma GCC unroll 6
          for (int i = 0; i < kColumns; ++i)
            sums[v][i] = Simd::fnma(min, Simd::set1(kMinGroup == 32 ? x.sums32[m][i] : x.sums16[m][i]), sums[v][i]);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) Simd::store(c + i * kTileRows + (first_vector + v) * kLanes, sums[v][i]);
}

template <int kGroup, int kMinGroup, TileMode mode, int kMaxCode>
void multiply_tile(const TileBlock& tile, const PanelBlock& x, int64_t n_columns, Upcoming next, float* c) {
  const ColumnBlock* columns = x.panels + x.block;
  // Evenly over the columns: a burst would hold up the loads of the kernel itself.
  const int64_t fetch = (next.bytes / 64 * kTileColumns / n_columns + 1) * 64;
  for (int64_t i = 0; i < n_columns; i += kTileColumns, columns += x.n_blocks, c += kTileColumns * kTileRows) {
    const int64_t fetch_now = fetch < next.bytes ? fetch : next.bytes;
    for (int64_t line = 0; line < fetch_now; line += 64) _mm_prefetch(reinterpret_cast<const char*>(next.data + line), _MM_HINT_T1);
    next.data += fetch_now;
    next.bytes -= fetch_now;
    for (int v = 0; v < kRowVectors; v += Simd::kTileVectors) {
      switch (n_columns - i) {
        case 1: multiply_block<kGroup, kMinGroup, mode, kMaxCode, 1>(tile, v, *columns, c); break;
        case 2: multiply_block<kGroup, kMinGroup, mode, kMaxCode, 2>(tile, v, *columns, c); break;
        case 3: multiply_block<kGroup, kMinGroup, mode, kMaxCode, 3>(tile, v, *columns, c); break;
        case 4: multiply_block<kGroup, kMinGroup, mode, kMaxCode, 4>(tile, v, *columns, c); break;
        case 5: multiply_block<kGroup, kMinGroup, mode, kMaxCode, 5>(tile, v, *columns, c); break;
        default: multiply_block<kGroup, kMinGroup, mode, kMaxCode, 6>(tile, v, *columns, c); break;
      }
    }
  }
}

// Sums of the two halves of 32 codes.
inline void code_sums(const int8_t* codes, int32_t (&sums)[2]) {
  const __m256i ones8 = _mm256_set1_epi8(1), ones16 = _mm256_set1_epi16(1);
  __m256i quads = _mm256_madd_epi16(_mm256_maddubs_epi16(ones8, load32(codes)), ones16);
  quads = _mm256_add_epi32(quads, _mm256_shuffle_epi32(quads, 0x4e));
  quads = _mm256_add_epi32(quads, _mm256_shuffle_epi32(quads, 0xb1));
  sums[0] = _mm256_cvtsi256_si32(quads);
  sums[1] = _mm256_extract_epi32(quads, 4);
}

inline void pack_group(const ActivationBlock& from, int g, int column, ColumnBlock& to) {
  int32_t words[8], sums[2];
  std::memcpy(words, from.codes + 32 * g, sizeof words);
  for (int line = 0; line < 8; ++line) std::memcpy(to.codes[8 * g + line][column], &words[line], 4);
  code_sums(from.codes + 32 * g, sums);
  to.scales[g][column] = from.scales[g];
  to.sums32[g][column] = from.sums32[g];
  to.offsets32[g][column] = -128 * (sums[0] + sums[1]);
  for (int half = 0; half < 2; ++half) {
    to.sums16[2 * g + half][column] = from.sums16[sum_place<Simd::kDotOrder>(2 * g + half)];
    to.offsets16[2 * g + half][column] = -128 * sums[half];
  }
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
  static_assert(!Format::kHasMin || Format::kMaxCode < 128);
  ops.expand_tile[static_cast<int>(format)] = expand_tile<format>;
  constexpr int kGroup = LaneFormat<format>::kFolded ? 32 : Format::kGroup;
  ops.code_form[static_cast<int>(format)] = {kGroup, Format::kHasMin ? Format::kGroup : 0};
  ops.multiply_tile[static_cast<int>(format)] = multiply_tile<kGroup, Format::kGroup, tile_mode<Format>(), Format::kMaxCode>;
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
