// Expansion of the K and ternary formats for AArch64 (layouts in quant/k_blocks.h, ternary_blocks.h).
#pragma once

#include "kernels/cpu/expand_neon.h"
#include "quant/k_blocks.h"
#include "quant/ternary_blocks.h"

namespace moebius::cpu {
namespace {

// What all of them share; the defaults of a format.
struct SuperFormat {
  static constexpr int kBlockElements = 256;
  static constexpr int kGroup = 32;
  static constexpr bool kHasMin = false;
};

inline uint8x8_t bytes_of(uint32_t low, uint32_t high) { return vcreate_u8((static_cast<uint64_t>(high) << 32) | low); }

// The eight 6-bit scales and mins of Q4_K and Q5_K.
inline void k_scales(const uint8_t* packed, float d, float dmin, Expanded& out) {
  const auto a = load_as<uint32_t>(packed), b = load_as<uint32_t>(packed + 4), c = load_as<uint32_t>(packed + 8);
  scaled(bytes_of(a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030)), d, out.scales);
  scaled(bytes_of(b & 0x3f3f3f3f, ((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030)), dmin, out.mins);
}

template <>
struct BlockFormat<QuantFormat::kQ4_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ4_K;
  static constexpr int kBlockBytes = 144;
  static constexpr bool kHasMin = true;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ4_K*>(p);
    k_scales(block->scales, f16_value(&block->d), f16_value(&block->dmin), out);
    for (int i = 0; i < 8; ++i) {
      const uint8x16_t packed = vld1q_u8(block->qs + 16 * i);
      int8x16_t* codes = out.codes + i / 2 * 4 + i % 2;
      codes[0] = as_signed(low_nibbles(packed));
      codes[2] = as_signed(high_nibbles(packed));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ5_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ5_K;
  static constexpr int kBlockBytes = 176;
  static constexpr bool kHasMin = true;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ5_K*>(p);
    k_scales(block->scales, f16_value(&block->d), f16_value(&block->dmin), out);
    const uint8x16_t high[2] = {vld1q_u8(block->qh), vld1q_u8(block->qh + 16)};
    for (int i = 0; i < 8; ++i) {
      const uint8x16_t packed = vld1q_u8(block->qs + 16 * i);
      const auto fifth = [&](int bit) {
        return vandq_u8(vtstq_u8(high[i % 2], vdupq_n_u8(static_cast<uint8_t>(1 << bit))), vdupq_n_u8(16));
      };
      int8x16_t* codes = out.codes + i / 2 * 4 + i % 2;
      codes[0] = as_signed(vorrq_u8(low_nibbles(packed), fifth(i / 2 * 2)));
      codes[2] = as_signed(vorrq_u8(high_nibbles(packed), fifth(i / 2 * 2 + 1)));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ6_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ6_K;
  static constexpr int kBlockBytes = 210;
  static constexpr int kGroup = 16;
  // 4 * (q - 32): the upper two bits, the top one flipped, above a nibble at bits 2 .. 5.
  static int8x16_t code(uint8x16_t nibble_at_2, uint8x16_t upper) { return as_signed(vsliq_n_u8(nibble_at_2, upper, 6)); }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ6_K*>(p);
    const float d = f16_value(&block->d) * 0.25f;
    const int8x16_t scales = vld1q_s8(block->scales);
    scaled(vget_low_s8(scales), d, out.scales);
    scaled(vget_high_s8(scales), d, out.scales + 2);
    for (int i = 0; i < 4; ++i) {
      const int half = i / 2, part = i % 2;
      const uint8_t* low = block->ql + 64 * half + 16 * part;
      const uint8x16_t first = vld1q_u8(low), second = vld1q_u8(low + 32);
      const uint8x16_t upper = veorq_u8(vld1q_u8(block->qh + 32 * half + 16 * part), vdupq_n_u8(0xaa));
      int8x16_t* codes = out.codes + 8 * half + part;
      codes[0] = code(vshlq_n_u8(first, 2), upper);
      codes[2] = code(vshlq_n_u8(second, 2), vshrq_n_u8(upper, 2));
      codes[4] = code(vshlq_n_u8(high_nibbles(first), 2), vshrq_n_u8(upper, 4));
      codes[6] = code(vshlq_n_u8(high_nibbles(second), 2), vshrq_n_u8(upper, 6));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ2_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ2_K;
  static constexpr int kBlockBytes = 84;
  static constexpr int kGroup = 16;
  static constexpr bool kHasMin = true;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ2_K*>(p);
    const float d = f16_value(&block->d), dmin = f16_value(&block->dmin);
    const uint8x16_t packed = vld1q_u8(block->scales), scales = low_nibbles(packed), mins = high_nibbles(packed);
    scaled(vget_low_u8(scales), d, out.scales);
    scaled(vget_high_u8(scales), d, out.scales + 2);
    scaled(vget_low_u8(mins), dmin, out.mins);
    scaled(vget_high_u8(mins), dmin, out.mins + 2);
    for (int i = 0; i < 4; ++i) {
      const uint8x16_t codes = vld1q_u8(block->qs + 16 * i);
      for (int run = 0; run < 4; ++run) out.codes[i / 2 * 8 + 2 * run + i % 2] = as_signed(two_bits(codes, 2 * run));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ3_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ3_K;
  static constexpr int kBlockBytes = 110;
  static constexpr int kGroup = 16;
  // Sixteen 6-bit scales less 32: nibbles in bytes 0 .. 7, the upper two bits in 8 .. 11.
  static int8x16_t scales_of(const uint8_t* packed) {
    const uint8x8_t first = vld1_u8(packed);
    const uint8x16_t low = vcombine_u8(vand_u8(first, vdup_n_u8(15)), vshr_n_u8(first, 4));
    const int32_t shifts[4] = {0, -2, -4, -6};
    const uint32x4_t spread = vshlq_u32(vdupq_n_u32(load_as<uint32_t>(packed + 8)), vld1q_s32(shifts));
    const uint8x16_t high = vandq_u8(vreinterpretq_u8_u32(spread), vdupq_n_u8(3));
    return vsubq_s8(as_signed(vorrq_u8(low, vshlq_n_u8(high, 4))), vdupq_n_s8(32));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ3_K*>(p);
    const float d = f16_value(&block->d);
    const int8x16_t scales = scales_of(block->scales);
    scaled(vget_low_s8(scales), d, out.scales);
    scaled(vget_high_s8(scales), d, out.scales + 2);
    const uint8x16_t mask[2] = {vld1q_u8(block->hmask), vld1q_u8(block->hmask + 16)};
    for (int i = 0; i < 4; ++i) {
      const uint8x16_t low = vld1q_u8(block->qs + 16 * i);
      for (int j = 0; j < 4; ++j) {
        // Without its third bit a code means q - 4.
        const int run = i / 2 * 4 + j;
        const uint8x16_t upper = where_clear(mask[i % 2], vdupq_n_u8(static_cast<uint8_t>(1 << run)), 0xfc);
        out.codes[2 * run + i % 2] = as_signed(vorrq_u8(two_bits(low, 2 * j), upper));
      }
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kTQ2_0> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kTQ2_0;
  static constexpr int kBlockBytes = 66;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockTQ2_0*>(p);
    out.scales[0] = out.scales[1] = vdupq_n_f32(f16_value(&block->d));
    for (int i = 0; i < 4; ++i) {
      const uint8x16_t codes = vld1q_u8(block->qs + 16 * i);
      for (int run = 0; run < 4; ++run)
        out.codes[i / 2 * 8 + 2 * run + i % 2] = vsubq_s8(as_signed(two_bits(codes, 2 * run)), vdupq_n_s8(1));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kTQ1_0> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kTQ1_0;
  static constexpr int kBlockBytes = 54;
  // (x * 3) >> 8 less 1 of x = byte * power mod 256: each third that x reaches adds 1.
  static int8x16_t digits(uint8x16_t bytes, int power) {
    const uint8x16_t x = vmulq_u8(bytes, vdupq_n_u8(static_cast<uint8_t>(power)));
    const int8x16_t one = as_signed(vcgeq_u8(x, vdupq_n_u8(86))), two = as_signed(vcgeq_u8(x, vdupq_n_u8(171)));
    return vsubq_s8(vsubq_s8(vdupq_n_s8(-1), one), two);
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockTQ1_0*>(p);
    constexpr int kPowers[5] = {1, 3, 9, 27, 81};
    out.scales[0] = out.scales[1] = vdupq_n_f32(f16_value(&block->d));
    for (int half = 0; half < 2; ++half) {
      const uint8x16_t first = vld1q_u8(block->qs + 16 * half);
      for (int n = 0; n < 5; ++n) out.codes[2 * n + half] = digits(first, kPowers[n]);
    }
    const uint8x16_t second = vld1q_u8(block->qs + 32);
    for (int n = 0; n < 5; ++n) out.codes[10 + n] = digits(second, kPowers[n]);
    // The last 16 codes: four bytes, each with four digits, by digit.
    const uint32_t lanes = load_as<uint32_t>(block->qh);
    uint32_t words[4];
    for (int n = 0; n < 4; ++n)
      words[n] = vgetq_lane_u32(vreinterpretq_u32_s8(digits(vreinterpretq_u8_u32(vdupq_n_u32(lanes)), kPowers[n])), 0);
    out.codes[15] = vreinterpretq_s8_u32(vld1q_u32(words));
  }
};

}  // namespace
}  // namespace moebius::cpu
