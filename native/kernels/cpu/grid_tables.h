// The IQ grids packed for lookups inside vector registers: one 16-bit word per entry holding
// the index of each value in the grid's short list of levels. Grids of 8 values use 2 bits
// each, element e at bit 2 * (e / 2) + 8 * (e % 2); grids of 4 values use 3 bits, element e at
// bit 3 * (e / 2) + 8 * (e % 2). So replicating a word and shifting it by pairs leaves every
// index in a byte of its own.
#pragma once

#include <cstdint>

namespace moebius::cpu {

struct GridTables {
  alignas(64) uint16_t iq2xxs[256];
  alignas(64) uint16_t iq2xs[512];
  alignas(64) uint16_t iq2s[1024];
  alignas(64) uint16_t iq1s[2048];
  alignas(64) uint16_t iq3xxs[256];
  alignas(64) uint16_t iq3s[512];
};

// Built at the first call from quant/codebooks.h; thread safe.
const GridTables& grid_tables();

}  // namespace moebius::cpu
