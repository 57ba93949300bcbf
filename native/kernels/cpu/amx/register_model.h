// The tile registers in plain loops, from the pseudocode of LDTILECFG, TILELOADD, TDPBSSD,
// TILESTORED and TILERELEASE (Intel SDM volume 2). Tests run the product of the AMX level over
// it on machines without AMX. Where the hardware would raise an exception the model throws.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "kernels/cpu/amx/tile_config.h"

namespace moebius::cpu {
namespace {

class RegisterModel {
 public:
  static void configure(const TileConfig& config) {
    require(config.palette == 1 && config.start_row == 0, "LDTILECFG: palette or start row");
    for (uint8_t byte : config.reserved) require(byte == 0, "LDTILECFG: reserved bytes");
    for (int t = 0; t < 16; ++t) {
      require(t < kTileRegisters || (config.rows[t] == 0 && config.row_bytes[t] == 0), "LDTILECFG: no such register");
      require(config.rows[t] <= kRegisterRows && config.row_bytes[t] <= kRegisterRowBytes, "LDTILECFG: shape");
      require((config.rows[t] == 0) == (config.row_bytes[t] == 0), "LDTILECFG: half a shape");
    }
    State& state = of_thread();
    state.config = config;
    state.configured = true;
    std::memset(state.data, 0, sizeof state.data);
  }

  static void release() {
    of_thread().configured = false;
    std::memset(of_thread().data, 0, sizeof of_thread().data);
  }

  // Whether this thread still holds registers: it must not when a product has ended.
  static bool in_use() { return of_thread().configured; }

  template <int kTile>
  static void zero() {
    checked(kTile);
    std::memset(of_thread().data[kTile], 0, sizeof of_thread().data[kTile]);
  }

  template <int kTile>
  static void load(const void* data, int64_t stride) {
    const State& state = checked(kTile);
    zero<kTile>();
    for (int r = 0; r < state.config.rows[kTile]; ++r)
      std::memcpy(of_thread().data[kTile][r], static_cast<const uint8_t*>(data) + r * stride, state.config.row_bytes[kTile]);
  }

  template <int kTile>
  static void store(void* data, int64_t stride) {
    const State& state = checked(kTile);
    for (int r = 0; r < state.config.rows[kTile]; ++r)
      std::memcpy(static_cast<uint8_t*>(data) + r * stride, state.data[kTile][r], state.config.row_bytes[kTile]);
  }

  template <int kSums, int kX, int kWeights>
  static void dot() {
    State& state = checked(kSums);
    checked(kX);
    checked(kWeights);
    const TileConfig& config = state.config;
    static_assert(kSums != kX && kSums != kWeights && kX != kWeights);
    const int n_rows = config.rows[kSums], n_words = config.row_bytes[kSums] / 4, n_steps = config.row_bytes[kX] / 4;
    require(config.rows[kX] == n_rows && config.row_bytes[kX] % 4 == 0, "TDPBSSD: shape of x");
    require(config.rows[kWeights] == n_steps && config.row_bytes[kWeights] == 4 * n_words, "TDPBSSD: shape of the weights");
    for (int m = 0; m < n_rows; ++m) {
      uint32_t sums[kRegisterRowBytes / 4];
      std::memcpy(sums, state.data[kSums][m], sizeof sums);
      for (int k = 0; k < n_steps; ++k)
        for (int n = 0; n < n_words; ++n)
          for (int j = 0; j < 4; ++j)
            sums[n] += static_cast<uint32_t>(code(state.data[kX][m][4 * k + j]) * code(state.data[kWeights][k][4 * n + j]));
      std::memcpy(state.data[kSums][m], sums, static_cast<size_t>(4 * n_words));
    }
    // Rows and bytes beyond the shape of the result are zeroed; they are zero already.
  }

 private:
  struct State {
    bool configured = false;
    TileConfig config;
    uint8_t data[kTileRegisters][kRegisterRows][kRegisterRowBytes] = {};
  };
  static State& of_thread() {
    static thread_local State state;
    return state;
  }
  static void require(bool condition, const char* what) {
    if (!condition) throw std::logic_error(what);
  }
  static State& checked(int tile) {
    State& state = of_thread();
    require(state.configured, "a tile register without a configuration");
    require(state.config.rows[tile] > 0, "a tile register without a shape");
    return state;
  }
  static int code(uint8_t byte) { return static_cast<int8_t>(byte); }
};

}  // namespace
}  // namespace moebius::cpu
