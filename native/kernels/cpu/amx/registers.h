// The tile registers of AMX as the product and the calibration use them: eight registers per
// thread of up to 16 rows x 64 bytes, shaped by one configuration. Two implementations with
// the same static members: TileRegisters here is the hardware, register_model.h says in plain
// loops what the hardware does. Internal linkage, as for everything compiled per level.
#pragma once

#include <immintrin.h>

#include <atomic>
#include <cstdint>

#include "kernels/cpu/amx/tile_config.h"

namespace moebius::cpu {
namespace {

struct TileRegisters {
  // The shapes of all eight registers of this thread; clears them. A thread that has called
  // configure() ends with release(): registers in use cost 8 KiB at every switch of threads.
  static void configure(const TileConfig& config) {
    fence();
    _tile_loadconfig(&config);
  }
  static void release() { _tile_release(); }

// The register's number is part of the instruction: the intrinsics want a literal.
#define MOEBIUS_EACH_TILE(number, action) \
  if constexpr (number == 0) action(0);   \
  if constexpr (number == 1) action(1);   \
  if constexpr (number == 2) action(2);   \
  if constexpr (number == 3) action(3);   \
  if constexpr (number == 4) action(4);   \
  if constexpr (number == 5) action(5);   \
  if constexpr (number == 6) action(6);   \
  if constexpr (number == 7) action(7);

#if defined(_WIN64) && defined(__GNUC__) && !defined(__clang__)
// GCC's intrinsics take the stride as a long, which has 32 bits there.
#define MOEBIUS_LOAD_TILE(number) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #number : : "r"(data), "r"(stride) : "memory")
#define MOEBIUS_STORE_TILE(number) __asm__ volatile("tilestored %%tmm" #number ", (%0,%1,1)" : : "r"(data), "r"(stride) : "memory")
#else
#define MOEBIUS_LOAD_TILE(number) _tile_loadd(number, data, stride)
#define MOEBIUS_STORE_TILE(number) _tile_stored(number, data, stride)
#endif

  template <int kTile>
  static void zero() {
    MOEBIUS_EACH_TILE(kTile, _tile_zero)
  }
  // Row r from data + r * stride bytes.
  template <int kTile>
  static void load(const void* data, int64_t stride) {
    fence();
    MOEBIUS_EACH_TILE(kTile, MOEBIUS_LOAD_TILE)
  }
  template <int kTile>
  static void store(void* data, int64_t stride) {
    MOEBIUS_EACH_TILE(kTile, MOEBIUS_STORE_TILE)
    fence();
  }
#undef MOEBIUS_EACH_TILE
#undef MOEBIUS_LOAD_TILE
#undef MOEBIUS_STORE_TILE

  // sums[m][n] += sum over k, j < 4 of x[m][4 k + j] * weights[k][4 n + j]: signed bytes into
  // 32 bits. Only the combinations that the callers use.
  template <int kSums, int kX, int kWeights>
  static void dot() {
    constexpr int kAll = kSums * 100 + kX * 10 + kWeights;
    static_assert(kAll == 24 || kAll == 135 || kAll == 46 || kAll == 147 || kAll == 256 || kAll == 357);
    if constexpr (kAll == 24) _tile_dpbssd(0, 2, 4);
    if constexpr (kAll == 135) _tile_dpbssd(1, 3, 5);
    if constexpr (kAll == 46) _tile_dpbssd(0, 4, 6);
    if constexpr (kAll == 147) _tile_dpbssd(1, 4, 7);
    if constexpr (kAll == 256) _tile_dpbssd(2, 5, 6);
    if constexpr (kAll == 357) _tile_dpbssd(3, 5, 7);
  }

 private:
  // GCC's intrinsics do not say that they read memory: what was written must be there.
  static void fence() { std::atomic_signal_fence(std::memory_order_seq_cst); }
};

}  // namespace
}  // namespace moebius::cpu
