// What LDTILECFG reads (Intel SDM volume 1, chapter 18): palette 1, eight registers of at most
// 16 rows x 64 bytes.
#pragma once

#include <cstdint>

namespace moebius::cpu {

constexpr int kTileRegisters = 8;
constexpr int kRegisterRows = 16;
constexpr int kRegisterRowBytes = 64;

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;  // where an interrupted load or store goes on
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};  // entries from 8 on stay zero
  uint8_t rows[16] = {};

  constexpr void set(int tile, int n_rows, int n_bytes) {
    rows[tile] = static_cast<uint8_t>(n_rows);
    row_bytes[tile] = static_cast<uint16_t>(n_bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace moebius::cpu
