// Prefill products with tile registers: weight rows lie in a TileBlock as avx512 expands them
// (tiles.h), which is the layout TDPBSSD wants, with codes made signed; columns lie row after
// row, so that 16 of them are one register whatever their number.
//
// Scales change every 32 (16) inputs, a register row holds 64: one step therefore uses half
// (quarter) filled rows. Full rows would need the other half masked with zeros, which costs
// the same multiplications and twice the loads, as two groups must never meet in one sum.
//
// The template is written over the registers (hardware or model) and the vector type, sums in
// the order of the avx512 product and equals it bit for bit.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/amx/tile_config.h"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/tiles.h"

#define MOEBIUS_INLINE __attribute__((always_inline))

namespace moebius::cpu {
namespace {

// 256 inputs of one column: an ActivationBlock and the terms of unsigned dots behind it.
// Column c, block b is element c * n_blocks + b of a panel array, in the room of ColumnBlocks.
struct alignas(32) AmxColumn {
  int8_t codes[256];
  float scales[8];
  float sums32[8];
  float sums16[16];
  int32_t offsets32[8];   // -128 * sum of 32 codes
  int32_t offsets16[16];  // -128 * sum of 16 codes
};
static_assert(sizeof(AmxColumn) * kTileColumns == sizeof(ColumnBlock));

// Up to here vectors are as good: a step takes 8 cycles for the weights alone.
constexpr int64_t kFewColumns = 4;

void pack_amx_groups(const ActivationBlock* const* rows, int n_columns, GroupRange groups, int64_t n_blocks, ColumnBlock* panel) {
  auto* columns = reinterpret_cast<AmxColumn*>(panel);
  for (int i = 0; i < n_columns; ++i)
    for (int64_t at = groups.first; at < groups.end; ++at) {
      const ActivationBlock& from = rows[i][at / 8 - groups.first / 8];
      AmxColumn& column = columns[i * n_blocks + at / 8];
      const auto g = static_cast<int>(at % 8);
      std::memcpy(column.codes + 32 * g, from.codes + 32 * g, 32);
      column.scales[g] = from.scales[g];
      column.sums32[g] = from.sums32[g];
      column.offsets32[g] = 0;
      for (int half = 2 * g; half < 2 * g + 2; ++half) {
        column.sums16[half] = from.sums16[lane_of_group(half)];
        int32_t sum = 0;
        for (int k = 0; k < 16; ++k) sum += column.codes[16 * half + k];
        column.offsets16[half] = -128 * sum;
        column.offsets32[g] += column.offsets16[half];
      }
    }
}

// Codes above the common offset of 128 become signed bytes; what has mins is below 128.
inline void make_signed(TileBlock* tile) {
  for (uint8_t& code : tile->codes) code ^= 0x80;
}

template <typename Registers, typename Vector, int kGroup, bool kHasMin, int kMinGroup = kGroup>
class AmxProduct {
 public:
  // c[column, 32] += tile x columns (LevelOps::multiply_tile).
  static void multiply(const TileBlock& tile, const PanelBlock& x, int64_t n_columns, Upcoming next, float* c) {
    const auto* columns = reinterpret_cast<const AmxColumn*>(x.panels) + x.block;
    const int64_t stride = x.n_blocks, n_full = n_columns / kRegisterRows * kRegisterRows, tail = n_columns - n_full;
    Prefetch prefetch(next, n_columns);
    if (n_full > 0) Registers::configure(shapes(kRegisterRows));
    for (int64_t i = 0; i < n_full; i += kRegisterRows) {
      prefetch.columns(kRegisterRows);
      multiply_step<true>(tile, columns + i * stride, stride, kRegisterRows, c + i * kTileRows);
    }
    prefetch.columns(tail);
    columns += n_full * stride;
    c += n_full * kTileRows;
    if (tail > kFewColumns) {
      Registers::configure(shapes(static_cast<int>(tail)));
      multiply_step<false>(tile, columns, stride, static_cast<int>(tail), c);
    }
    if (n_full > 0 || tail > kFewColumns) Registers::release();
    switch (tail) {
      case 1: return multiply_few<1>(tile, columns, stride, c);
      case 2: return multiply_few<2>(tile, columns, stride, c);
      case 3: return multiply_few<3>(tile, columns, stride, c);
      case 4: return multiply_few<4>(tile, columns, stride, c);
      default: return;
    }
  }

 private:
  static_assert(kFewColumns == 4 && Vector::kLanes == kRegisterRowBytes / 4);
  static constexpr int kGroups = 256 / kGroup;
  static constexpr int kLanes = Vector::kLanes;
  using F = typename Vector::F;
  using I = typename Vector::I;

  // Fetches evenly over the columns, as avx512 does.
  class Prefetch {
   public:
    Prefetch(Upcoming next, int64_t n_columns) : next_(next), per_column_((next.bytes / 64 + n_columns - 1) / n_columns * 64) {}
    void columns(int64_t n) {
      for (int64_t end = n * per_column_; end > 0 && next_.bytes > 0; end -= 64) {
        __builtin_prefetch(next_.data, /*write=*/0, /*locality=*/2);
        next_.data += 64;
        next_.bytes -= 64;
      }
    }

   private:
    Upcoming next_;
    int64_t per_column_;
  };

  // Registers 0, 1: sums; 2, 3: columns; 4, 5: weights. Two sets, so that one group is
  // multiplied while the other is scaled.
  static TileConfig shapes(int n_columns) {
    TileConfig config;
    for (int set = 0; set < 2; ++set) {
      config.set(set, n_columns, kRegisterRowBytes);
      config.set(2 + set, n_columns, kGroup);
      config.set(4 + set, kGroup / 4, kRegisterRowBytes);
    }
    return config;
  }

  // What scales the sums of up to 16 columns.
  struct Factors {
    float scales[kRegisterRows][8];
    float sums[kRegisterRows][256 / kMinGroup];  // only for mins
  };
  struct alignas(64) Sums {
    int32_t values[kRegisterRows][kLanes];  // [columns, weight rows]
  };

  template <bool kFull>
  static void multiply_step(const TileBlock& tile, const AmxColumn* columns, int64_t stride, int n_columns, float* c) {
    Factors factors;
    for (int i = 0; i < n_columns; ++i) {
      const AmxColumn& x = columns[i * stride];
      std::memcpy(factors.scales[i], x.scales, sizeof x.scales);
      if constexpr (kHasMin) std::memcpy(factors.sums[i], kMinGroup == 32 ? x.sums32 : x.sums16, sizeof factors.sums[i]);
    }
    for (int64_t first_row = 0; first_row < kTileRows; first_row += kLanes)
      multiply_rows<kFull>(tile, first_row, columns, stride, factors, n_columns, c + first_row);
  }

  template <bool kFull>
  static void multiply_rows(const TileBlock& tile, int64_t first_row, const AmxColumn* columns, int64_t stride,
                            const Factors& factors, int n_columns, float* c) {
    Sums dots[2];
    F sums[kRegisterRows];
    const uint8_t* weights = tile.codes + first_row * 256;
    const float *scales = tile.scales + first_row * 16, *mins = tile.mins + first_row * 16;
    for_columns<kFull>(n_columns, [&]<int i>() MOEBIUS_INLINE { sums[i] = Vector::load(c + i * kTileRows); });
    const auto scale = [&](int g, const Sums& from) MOEBIUS_INLINE {
      const F row_scale = Vector::load(scales + g * kLanes);
      for_columns<kFull>(n_columns, [&]<int i>() MOEBIUS_INLINE {
        const F factor = Vector::mul(row_scale, Vector::set1(factors.scales[i][g * kGroup / 32]));
        sums[i] = Vector::fma(Vector::to_float(Vector::load_aligned(from.values[i])), factor, sums[i]);
      });
      if constexpr (kHasMin) {
        for (int m = g * kGroup / kMinGroup; m < (g + 1) * kGroup / kMinGroup; ++m) {
          const F min = Vector::load(mins + m * kLanes);
          for_columns<kFull>(n_columns, [&]<int i>() MOEBIUS_INLINE { sums[i] = Vector::fnma(min, Vector::set1(factors.sums[i][m]), sums[i]); });
        }
      }
    };
    start<0>(columns, stride, weights, 0, dots);
    for (int g = 0; g < kGroups; g += 2) {
      start<1>(columns, stride, weights, g + 1, dots);
      scale(g, dots[0]);
      if (g + 2 < kGroups) start<0>(columns, stride, weights, g + 2, dots);
      scale(g + 1, dots[1]);
    }
    for_columns<kFull>(n_columns, [&]<int i>() MOEBIUS_INLINE { Vector::store(c + i * kTileRows, sums[i]); });
  }

  // The integer sums of group g into dots[kSet].
  template <int kSet>
  static void start(const AmxColumn* columns, int64_t stride, const uint8_t* weights, int g, Sums* dots) {
    Registers::template load<2 + kSet>(columns->codes + g * kGroup, stride * static_cast<int64_t>(sizeof(AmxColumn)));
    Registers::template load<4 + kSet>(weights + g * kGroup * kLanes, kRegisterRowBytes);
    Registers::template zero<kSet>();
    Registers::template dot<kSet, 2 + kSet, 4 + kSet>();
    Registers::template store<kSet>(dots[kSet].values, sizeof dots[kSet].values[0]);
  }

  // body<i>() for every column. Spelled out rather than looped: between instructions that
  // touch memory unseen, an array with a running index would live in memory too.
  template <bool kFull, typename Body>
  MOEBIUS_INLINE static void for_columns(int n_columns, const Body& body) {
    [&]<int... i>(std::integer_sequence<int, i...>) MOEBIUS_INLINE {
      ((kFull || i < n_columns ? body.template operator()<i>() : void()), ...);
    }(std::make_integer_sequence<int, kRegisterRows>());
  }

  template <int kColumns>
  static void multiply_few(const TileBlock& tile, const AmxColumn* columns, int64_t stride, float* c) {
    for (int64_t first_row = 0; first_row < kTileRows; first_row += kLanes) {
      const uint8_t* weights = tile.codes + first_row * 256;
      const float *scales = tile.scales + first_row * 16, *mins = tile.mins + first_row * 16;
      F sums[kColumns];
#pragma GCC unroll 4
      for (int i = 0; i < kColumns; ++i) sums[i] = Vector::load(c + i * kTileRows + first_row);
#pragma GCC unroll 1
      for (int g = 0; g < kGroups; ++g) {
        I dots[kColumns];
#pragma GCC unroll 4
        for (int i = 0; i < kColumns; ++i) {
          const AmxColumn& x = columns[i * stride];
          dots[i] = kHasMin ? Vector::zero_int() : Vector::broadcast_int(kGroup == 32 ? x.offsets32 + g : x.offsets16 + g);
        }
#pragma GCC unroll 8
        for (int line = g * kGroup / 4; line < (g + 1) * kGroup / 4; ++line) {
          I codes = Vector::load_aligned(weights + line * kLanes * 4);
          if constexpr (!kHasMin) codes = Vector::add_bytes(codes, 128);
#pragma GCC unroll 4
          for (int i = 0; i < kColumns; ++i)
            dots[i] = Vector::dot(dots[i], codes, Vector::broadcast_int(reinterpret_cast<const int32_t*>(columns[i * stride].codes + line * 4)));
        }
        const F row_scale = Vector::load(scales + g * kLanes);
#pragma GCC unroll 4
        for (int i = 0; i < kColumns; ++i) {
          const AmxColumn& x = columns[i * stride];
          sums[i] = Vector::fma(Vector::to_float(dots[i]), Vector::mul(row_scale, Vector::set1(x.scales[g * kGroup / 32])), sums[i]);
          if constexpr (kHasMin)
            for (int m = g * kGroup / kMinGroup; m < (g + 1) * kGroup / kMinGroup; ++m)
              sums[i] = Vector::fnma(Vector::load(mins + m * kLanes), Vector::set1(kMinGroup == 32 ? x.sums32[m] : x.sums16[m]), sums[i]);
        }
      }
#pragma GCC unroll 4
      for (int i = 0; i < kColumns; ++i) Vector::store(c + i * kTileRows + first_row, sums[i]);
    }
  }
};

}  // namespace
}  // namespace moebius::cpu

#undef MOEBIUS_INLINE
