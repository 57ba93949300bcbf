// The IQ grids as the AVX-512 kernels look them up. The short grids are packed, one 16-bit
// word per entry with the index of each value in the grid's list of levels: 2 bits each in
// grids of 8 values, 3 bits in grids of 4, element 0 lowest; so a register holds 32 entries.
// The long grids are whole entries of eight codes.
#pragma once

#include <cstdint>

namespace moebius::cpu {

struct GridTables {
  alignas(64) uint16_t iq2xxs[256];
  alignas(64) uint16_t iq2xs[512];
  alignas(64) uint16_t iq3xxs[256];
  alignas(64) uint16_t iq3s[512];
  // Pairs of values for two packed indices: of 2 bits (twice over), of 3 bits.
  alignas(64) uint8_t iq2_pairs[32][2];     // 64 + {8, 25, 43}
  alignas(64) uint8_t iq3xxs_pairs[64][2];  // 64 + {4, 12, 20, 28, 36, 44, 52, 62}
  alignas(64) uint8_t iq3s_pairs[64][2];    // 16 + {1, 3, 5, ... 15}
  // The sign byte of a 6-bit sign code, twice: bit 7 makes the number of signs even.
  alignas(64) uint16_t sign_bytes[64];
  alignas(64) uint8_t iq2s[1024][8];  // 64 + the grid
  alignas(64) uint8_t iq1s[2048][8];  // 8 * the grid + 17
};

// Built at the first call from quant/codebooks.h; thread safe.
const GridTables& grid_tables();

}  // namespace moebius::cpu
