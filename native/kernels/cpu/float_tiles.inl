// Prefill products of float tiles; layouts in tiles.h. Part of the tile products of every level.
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/tiles.h"

namespace moebius::cpu {
namespace {

constexpr int kLanes = Simd::kLanes;
constexpr int kRowVectors = static_cast<int>(kTileRows) / kLanes;

// [kLanes rows of the tile] of 256 inputs from float rows `stride` apart.
void pack_float_tile(const float* const* rows, FloatTileBlock* out) {
  for (int v = 0; v < kRowVectors; ++v)
    for (int begin = 0; begin < 256; begin += kLanes) {
      Simd::I words[kLanes];
      for (int r = 0; r < kLanes; ++r) words[r] = Simd::load_int(rows[v * kLanes + r] + begin);
      Simd::transpose(words);
      for (int i = 0; i < kLanes; ++i) Simd::store_int(out->values + (v * 256 + begin + i) * kLanes, words[i]);
    }
}

template <int kColumns>
inline void multiply_float_block(const FloatTileBlock& tile, int first_vector, const FloatColumnBlock& x, float* c) {
  constexpr int kVectors = Simd::kFloatVectors;
  Simd::F sums[kVectors][kColumns];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) sums[v][i] = Simd::load(c + i * kTileRows + (first_vector + v) * kLanes);
#pragma GCC unroll 4
  for (int k = 0; k < 256; ++k) {
    Simd::F weights[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) weights[v] = Simd::load(tile.values + ((first_vector + v) * 256 + k) * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) {
      const Simd::F value = Simd::set1(x.values[k][i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[v][i] = Simd::fma(weights[v], value, sums[v][i]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) Simd::store(c + i * kTileRows + (first_vector + v) * kLanes, sums[v][i]);
}

void multiply_float_tile(const FloatTileBlock& tile, const FloatColumnBlock* columns, int64_t stride, int64_t n_columns, float* c) {
  for (int64_t i = 0; i < n_columns; i += kTileColumns, columns += stride, c += kTileColumns * kTileRows) {
    for (int v = 0; v < kRowVectors; v += Simd::kFloatVectors) {
      switch (n_columns - i) {
        case 1: multiply_float_block<1>(tile, v, *columns, c); break;
        case 2: multiply_float_block<2>(tile, v, *columns, c); break;
        case 3: multiply_float_block<3>(tile, v, *columns, c); break;
        case 4: multiply_float_block<4>(tile, v, *columns, c); break;
        case 5: multiply_float_block<5>(tile, v, *columns, c); break;
        default: multiply_float_block<6>(tile, v, *columns, c); break;
      }
    }
  }
}

void fill_float_tile_ops(LevelOps& ops) {
  ops.pack_float_tile = pack_float_tile;
  ops.multiply_float_tile = multiply_float_tile;
}

}  // namespace
}  // namespace moebius::cpu
