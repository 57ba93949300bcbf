// The int8 peak of the tile registers: full rows, four sums that do not wait for each other.
#pragma once

#include <cstring>

#include "kernels/calibration.h"
#include "kernels/cpu/amx/tile_config.h"

namespace moebius::cpu {
namespace {

constexpr double kAmxOperationsPerRound = 4.0 * 2 * kRegisterRows * kRegisterRows * kRegisterRowBytes;

template <typename Registers>
float amx_int8_rounds(int64_t n_rounds) {
  alignas(64) int8_t codes[kRegisterRows][kRegisterRowBytes];
  alignas(64) int32_t sums[kRegisterRows][kRegisterRowBytes / 4];
  std::memset(codes, 3, sizeof codes);
  TileConfig config;
  for (int tile = 0; tile < kTileRegisters; ++tile) config.set(tile, kRegisterRows, kRegisterRowBytes);
  Registers::configure(config);
  Registers::template load<4>(codes, kRegisterRowBytes);
  Registers::template load<5>(codes, kRegisterRowBytes);
  Registers::template load<6>(codes, kRegisterRowBytes);
  Registers::template load<7>(codes, kRegisterRowBytes);
  for (int64_t round = 0; round < n_rounds; ++round) {
    Registers::template dot<0, 4, 6>();
    Registers::template dot<1, 4, 7>();
    Registers::template dot<2, 5, 6>();
    Registers::template dot<3, 5, 7>();
  }
  float total = 0;
  const auto add = [&] { total += static_cast<float>(sums[0][0] & 0xffff); };
  Registers::template store<0>(sums, kRegisterRowBytes);
  add();
  Registers::template store<1>(sums, kRegisterRowBytes);
  add();
  Registers::template store<2>(sums, kRegisterRowBytes);
  add();
  Registers::template store<3>(sums, kRegisterRowBytes);
  add();
  Registers::release();
  return total;
}

}  // namespace
}  // namespace moebius::cpu
