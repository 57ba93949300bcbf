// Expansion of the IQ formats for AArch64 (layouts in quant/iq_blocks.h, grids in quant/codebooks.h).
#pragma once

#include "kernels/cpu/expand_neon.h"
#include "kernels/cpu/expand_neon_k.h"
#include "kernels/cpu/expand_neon_small.h"
#include "quant/codebooks.h"
#include "quant/iq_blocks.h"

namespace moebius::cpu {
namespace {

// Two entries of a grid of 8 values.
inline int8x16_t grid8(const int8_t (*grid)[8], int a, int b) { return vcombine_s8(vld1_s8(grid[a]), vld1_s8(grid[b])); }

// Four entries of a grid of 4 values; index(n) is the n-th.
template <typename Index>
inline int8x16_t grid4(const int8_t (*grid)[4], int first, const Index& index) {
  const auto entry = [&](int n) { return static_cast<uint64_t>(load_as<uint32_t>(grid[index(first + n)])); };
  return vcombine_s8(vcreate_s8(entry(0) | (entry(1) << 32)), vcreate_s8(entry(2) | (entry(3) << 32)));
}

// Four 7-bit sign codes in bits 0..27 of each word as 32 sign bits: bit 7 of a byte makes the
// parity even.
inline uint32x4_t sign_words(uint32x4_t codes) {
  uint32x4_t spread = vandq_u32(codes, vdupq_n_u32(0x7f));
  spread = vorrq_u32(spread, vandq_u32(vshlq_n_u32(codes, 1), vdupq_n_u32(0x7f00)));
  spread = vorrq_u32(spread, vandq_u32(vshlq_n_u32(codes, 2), vdupq_n_u32(0x7f0000)));
  spread = vorrq_u32(spread, vandq_u32(vshlq_n_u32(codes, 3), vdupq_n_u32(0x7f000000)));
  const uint8x16_t bytes = vreinterpretq_u8_u32(spread);
  return vreinterpretq_u32_u8(vorrq_u8(bytes, vshlq_n_u8(vcntq_u8(bytes), 7)));
}

// d * (0.5 + s) * part
inline float32x4_t half_step(float32x4_t s, float d, float part) {
  return vmulq_n_f32(vaddq_f32(s, vdupq_n_f32(0.5f)), d * part);
}

// Nibbles of 8 bytes in order: low nibble first.
inline void nibble_steps(const uint8_t* packed, float d, float part, float32x4_t* out) {
  const uint8x8_t bytes = vld1_u8(packed), low = vand_u8(bytes, vdup_n_u8(15)), high = vshr_n_u8(bytes, 4);
  scaled(vzip1_u8(low, high), 1, out);
  scaled(vzip2_u8(low, high), 1, out + 2);
  for (int i = 0; i < 4; ++i) out[i] = half_step(out[i], d, part);
}

template <>
struct BlockFormat<QuantFormat::kIQ2_XXS> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ2_XXS;
  static constexpr int kBlockBytes = 66;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_XXS*>(p);
    const float d = f16_value(&block->d);
    uint8_t signs[32];
    for (int half = 0; half < 2; ++half) {
      // The second words of four groups.
      const uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(block->groups[4 * half])), b = vreinterpretq_u32_u8(vld1q_u8(block->groups[4 * half + 2]));
      const uint32x4_t words = vuzp2q_u32(a, b);
      out.scales[half] = half_step(vcvtq_f32_u32(vshrq_n_u32(words, 28)), d, 0.25f);
      vst1q_u8(signs + 16 * half, vreinterpretq_u8_u32(sign_words(words)));
    }
    for (int i = 0; i < 16; ++i) {
      const uint8_t* entries = block->groups[i / 2] + 2 * (i % 2);
      out.codes[i] = negate_where(grid8(books.iq2xxs, entries[0], entries[1]), signs + 2 * i);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ2_XS> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ2_XS;
  static constexpr int kBlockBytes = 74;
  static constexpr int kGroup = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_XS*>(p);
    nibble_steps(block->scales, f16_value(&block->d), 0.25f, out.scales);
    const auto* q = reinterpret_cast<const uint8_t*>(block->qs);
    uint8_t signs[32];
    for (int part = 0; part < 4; ++part) {
      const uint8x8_t seven = vshrn_n_u16(vreinterpretq_u16_u8(vld1q_u8(q + 16 * part)), 8);
      const uint8x8_t code = vshr_n_u8(seven, 1);
      vst1_u8(signs + 8 * part, vorr_u8(code, vshl_n_u8(vcnt_u8(code), 7)));
    }
    for (int i = 0; i < 16; ++i) {
      const auto index = [&](int l) { return load_as<uint16_t>(q + 4 * i + 2 * l) & 511; };
      out.codes[i] = negate_where(grid8(books.iq2xs, index(0), index(1)), signs + 2 * i);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ2_S> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ2_S;
  static constexpr int kBlockBytes = 82;
  static constexpr int kGroup = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_S*>(p);
    nibble_steps(block->scales, f16_value(&block->d), 0.25f, out.scales);
    for (int i = 0; i < 16; ++i) {
      const int high = block->qh[i / 2] >> (4 * (i % 2));
      const int a = block->qs[2 * i] | ((high & 3) << 8), b = block->qs[2 * i + 1] | ((high & 12) << 6);
      out.codes[i] = negate_where(grid8(books.iq2s, a, b), block->signs + 2 * i);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ3_XXS> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ3_XXS;
  static constexpr int kBlockBytes = 98;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ3_XXS*>(p);
    const float d = f16_value(&block->d);
    uint8_t signs[32];
    for (int half = 0; half < 2; ++half) {
      const uint32x4_t words = vreinterpretq_u32_u8(vld1q_u8(block->scales_signs[4 * half]));
      out.scales[half] = half_step(vcvtq_f32_u32(vshrq_n_u32(words, 28)), d, 0.5f);
      vst1q_u8(signs + 16 * half, vreinterpretq_u8_u32(sign_words(words)));
    }
    for (int i = 0; i < 16; ++i)
      out.codes[i] = negate_where(grid4(books.iq3xxs, 4 * i, [&](int n) { return block->qs[n]; }), signs + 2 * i);
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ3_S> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ3_S;
  static constexpr int kBlockBytes = 110;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ3_S*>(p);
    const float d = f16_value(&block->d);
    const uint8x8_t bytes = vcreate_u8(load_as<uint32_t>(block->scales));
    scaled(vzip1_u8(vand_u8(bytes, vdup_n_u8(15)), vshr_n_u8(bytes, 4)), 1, out.scales);
    // d * (1 + 2 s)
    for (int half = 0; half < 2; ++half) out.scales[half] = half_step(out.scales[half], d, 2.0f);
    for (int i = 0; i < 16; ++i) {
      const auto index = [&](int n) { return block->qs[n] | (((block->qh[n / 8] >> (n % 8)) & 1) << 8); };
      out.codes[i] = negate_where(grid4(books.iq3s, 4 * i, index), block->signs + 2 * i);
    }
  }
};

// 8 * grid +- 1: eight times (grid +- 0.125). A shift of 0xff is a minus.
inline int8x16_t shifted_grid(int8x16_t grid, int8x16_t minus) {
  return vaddq_s8(vshlq_n_s8(grid, 3), vorrq_s8(minus, vdupq_n_s8(1)));
}

template <>
struct BlockFormat<QuantFormat::kIQ1_S> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ1_S;
  static constexpr int kBlockBytes = 50;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ1_S*>(p);
    const float d = f16_value(&block->d);
    const uint16x8_t steps = vandq_u16(vshrq_n_u16(vld1q_u16(block->qh), 12), vdupq_n_u16(7));
    scaled(vmovn_u16(steps), 1, out.scales);
    // d * (2 s + 1) / 8
    for (int half = 0; half < 2; ++half) out.scales[half] = half_step(out.scales[half], d, 0.25f);
    for (int g = 0; g < 8; ++g) {
      const int high = block->qh[g];
      const auto index = [&](int l) { return block->qs[4 * g + l] | (((high >> (3 * l)) & 7) << 8); };
      const int8x16_t minus = vdupq_n_s8(static_cast<int8_t>(-(high >> 15)));
      out.codes[2 * g] = shifted_grid(grid8(books.iq1s, index(0), index(1)), minus);
      out.codes[2 * g + 1] = shifted_grid(grid8(books.iq1s, index(2), index(3)), minus);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ1_M> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ1_M;
  static constexpr int kBlockBytes = 56;
  static constexpr int kGroup = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ1_M*>(p);
    // d in the top nibbles of the four words, four 3-bit scales in the rest of each.
    const uint16_t* words = block->scales;
    const auto d_bits = static_cast<uint16_t>((words[0] >> 12) | ((words[1] >> 8) & 0xf0) | ((words[2] >> 4) & 0xf00) | (words[3] & 0xf000));
    const float d = f16_value(&d_bits);
    for (int i = 0; i < 4; ++i) {
      const uint16_t word = words[i];
      const uint32_t steps[4] = {word & 7u, (word >> 3) & 7u, (word >> 6) & 7u, (word >> 9) & 7u};
      out.scales[i] = half_step(vcvtq_f32_u32(vld1q_u32(steps)), d, 0.25f);
    }
    for (int i = 0; i < 16; ++i) {
      const int high = block->qh[i];
      const int a = block->qs[2 * i] | ((high & 7) << 8), b = block->qs[2 * i + 1] | ((high & 0x70) << 4);
      const int8x8_t first = vdup_n_s8(static_cast<int8_t>(-((high >> 3) & 1))), second = vdup_n_s8(static_cast<int8_t>(-(high >> 7)));
      out.codes[i] = shifted_grid(grid8(books.iq1s, a, b), vcombine_s8(first, second));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ4_XS> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ4_XS;
  static constexpr int kBlockBytes = 136;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ4_XS*>(p);
    const uint8x8_t packed = vcreate_u8(load_as<uint32_t>(block->scales_l));
    const uint8x8_t low = vzip1_u8(vand_u8(packed, vdup_n_u8(15)), vshr_n_u8(packed, 4));
    const int16_t shifts[8] = {4, 2, 0, -2, -4, -6, -8, -10};
    const uint16x8_t high = vandq_u16(vshlq_u16(vdupq_n_u16(block->scales_h), vld1q_s16(shifts)), vdupq_n_u16(0x30));
    const int8x8_t steps = vsub_s8(vreinterpret_s8_u8(vorr_u8(low, vmovn_u16(high))), vdup_n_s8(32));
    scaled(steps, f16_value(&block->d), out.scales);
    const int8x16_t table = vld1q_s8(kNonLinearCodes);
    for (int g = 0; g < 8; ++g) {
      const uint8x16_t codes = vld1q_u8(block->qs + 16 * g);
      out.codes[2 * g] = vqtbl1q_s8(table, low_nibbles(codes));
      out.codes[2 * g + 1] = vqtbl1q_s8(table, high_nibbles(codes));
    }
  }
};

}  // namespace
}  // namespace moebius::cpu
