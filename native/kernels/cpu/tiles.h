// Layouts of the prefill product: 32 weight rows are expanded, 256 inputs at a time, to
// codes interleaved for the four-way dot and multiplied with every column before the next
// 256 follow. So the expanded weights never leave the first cache, whatever the format.
#pragma once

#include <cstdint>

namespace moebius::cpu {

constexpr int64_t kTileRows = 32;
constexpr int kTileColumns = 6;

// 256 inputs of 32 rows. L lanes: 8 or 16 rows side by side, 32 / L vectors of them.
struct alignas(64) TileBlock {
  uint8_t codes[256 * 32];   // [32 / L, 64, L, 4]: 4 consecutive inputs of each of L rows
  float scales[16 * 32];     // [32 / L, 16, L]: per 16 or (first 8) per 32 inputs
  float mins[16 * 32];       // same; only for formats with mins
};

// 256 inputs of 6 columns, from their ActivationBlocks.
struct alignas(64) ColumnBlock {
  int8_t codes[64][kTileColumns][4];
  float scales[8][kTileColumns];
  float sums32[8][kTileColumns];
  float sums16[16][kTileColumns];
  int32_t offsets32[8][kTileColumns];   // -128 * sum of 32 codes
  int32_t offsets16[16][kTileColumns];  // -128 * sum of 16 codes
};

// Float twin: 256 inputs of 32 rows [256, 32]; columns are [256, 6].
struct alignas(64) FloatTileBlock {
  float values[256 * 32];  // [32 / L, 256, L]
};
struct alignas(64) FloatColumnBlock {
  float values[256][kTileColumns];
};

}  // namespace moebius::cpu
