// Expansion of the formats of 32 and 64 elements for AArch64 (layouts in quant/small_blocks.h).
#pragma once

#include "kernels/cpu/expand_neon.h"

namespace moebius::cpu {
namespace {

// What all of them share; the defaults of a format.
struct SmallFormat {
  static constexpr int kBlockElements = 32;
  static constexpr int kGroup = 32;
  static constexpr bool kHasMin = false;
};

alignas(16) constexpr int8_t kNonLinearCodes[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                    1,    13,   25,  38,  53,  69,  89,  113};
// Twice the E2M1 value.
alignas(16) constexpr int8_t kE2m1Codes[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The scales of eight blocks.
template <int kBlockBytes>
inline void block_scales(const uint8_t* p, float32x4_t* out) {
  out[0] = f16_values<kBlockBytes>(p);
  out[1] = f16_values<kBlockBytes>(p + 4 * kBlockBytes);
}
template <int kBlockBytes>
inline void block_mins(const uint8_t* p, float32x4_t* out) {
  block_scales<kBlockBytes>(p, out);
  out[0] = vnegq_f32(out[0]);
  out[1] = vnegq_f32(out[1]);
}

template <>
struct BlockFormat<QuantFormat::kQ8_0> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ8_0;
  static constexpr int kBlockBytes = 34;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    block_scales<kBlockBytes>(p, out.scales);
    for (int i = 0; i < 16; ++i) out.codes[i] = vld1q_s8(reinterpret_cast<const int8_t*>(p) + i / 2 * kBlockBytes + 2 + 16 * (i % 2));
  }
};

template <>
struct BlockFormat<QuantFormat::kQ4_0> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ4_0;
  static constexpr int kBlockBytes = 18;
  // A nibble with its top bit flipped, moved to the top of the byte, is 16 * (q - 8).
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    block_scales<kBlockBytes>(p, out.scales);
    for (int half = 0; half < 2; ++half) out.scales[half] = vmulq_n_f32(out.scales[half], 0.0625f);
    for (int g = 0; g < 8; ++g) {
      const uint8x16_t packed = veorq_u8(vld1q_u8(p + g * kBlockBytes + 2), vdupq_n_u8(0x88));
      out.codes[2 * g] = as_signed(vshlq_n_u8(packed, 4));
      out.codes[2 * g + 1] = as_signed(vandq_u8(packed, vdupq_n_u8(0xf0)));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ4_1> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ4_1;
  static constexpr int kBlockBytes = 20;
  static constexpr bool kHasMin = true;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    block_scales<kBlockBytes>(p, out.scales);
    block_mins<kBlockBytes>(p + 2, out.mins);
    for (int g = 0; g < 8; ++g) {
      const uint8x16_t packed = vld1q_u8(p + g * kBlockBytes + 4);
      out.codes[2 * g] = as_signed(low_nibbles(packed));
      out.codes[2 * g + 1] = as_signed(high_nibbles(packed));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ5_0> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ5_0;
  static constexpr int kBlockBytes = 22;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    block_scales<kBlockBytes>(p, out.scales);
    for (int g = 0; g < 8; ++g, p += kBlockBytes) {
      const uint8x16_t packed = vld1q_u8(p + 6);
      // Without the fifth bit a nibble means q - 16.
      const auto code = [p](uint8x16_t nibbles, int half) {
        return as_signed(vorrq_u8(nibbles, where_clear(bits_spread(p + 2 + 2 * half), each_bit(), 0xf0)));
      };
      out.codes[2 * g] = code(low_nibbles(packed), 0);
      out.codes[2 * g + 1] = code(high_nibbles(packed), 1);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ5_1> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ5_1;
  static constexpr int kBlockBytes = 24;
  static constexpr bool kHasMin = true;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    block_scales<kBlockBytes>(p, out.scales);
    block_mins<kBlockBytes>(p + 2, out.mins);
    for (int g = 0; g < 8; ++g, p += kBlockBytes) {
      const uint8x16_t packed = vld1q_u8(p + 8);
      const auto code = [p](uint8x16_t nibbles, int half) {
        const uint8x16_t is_set = vtstq_u8(bits_spread(p + 4 + 2 * half), each_bit());
        return as_signed(vorrq_u8(nibbles, vandq_u8(is_set, vdupq_n_u8(16))));
      };
      out.codes[2 * g] = code(low_nibbles(packed), 0);
      out.codes[2 * g + 1] = code(high_nibbles(packed), 1);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ4_NL> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ4_NL;
  static constexpr int kBlockBytes = 18;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    block_scales<kBlockBytes>(p, out.scales);
    const int8x16_t table = vld1q_s8(kNonLinearCodes);
    for (int g = 0; g < 8; ++g) {
      const uint8x16_t packed = vld1q_u8(p + g * kBlockBytes + 2);
      out.codes[2 * g] = vqtbl1q_s8(table, low_nibbles(packed));
      out.codes[2 * g + 1] = vqtbl1q_s8(table, high_nibbles(packed));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kMXFP4> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kMXFP4;
  static constexpr int kBlockBytes = 17;
  // Half of 2^(e - 127) of four blocks; e of 0 and 1 give subnormals.
  static float32x4_t scales_of(const uint8_t* p) {
    const uint32_t words[4] = {p[0], p[kBlockBytes], p[2 * kBlockBytes], p[3 * kBlockBytes]};
    const uint32x4_t e = vld1q_u32(words);
    const uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    const uint32x4_t tiny = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(vandq_u32(e, vdupq_n_u32(1))));
    return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), tiny, normal));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = scales_of(p);
    out.scales[1] = scales_of(p + 4 * kBlockBytes);
    const int8x16_t table = vld1q_s8(kE2m1Codes);
    for (int g = 0; g < 8; ++g) {
      const uint8x16_t packed = vld1q_u8(p + g * kBlockBytes + 1);
      out.codes[2 * g] = vqtbl1q_s8(table, low_nibbles(packed));
      out.codes[2 * g + 1] = vqtbl1q_s8(table, high_nibbles(packed));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kNVFP4> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kNVFP4;
  static constexpr int kBlockElements = 64;
  static constexpr int kBlockBytes = 36;
  static constexpr int kGroup = 16;
  // Half of the unsigned E4M3 values of four codes; 0x7f is 0.
  static float32x4_t scales_of(uint32_t packed) {
    const uint32x4_t code = vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(packed))));
    const uint32x4_t exponent = vandq_u32(vshrq_n_u32(code, 3), vdupq_n_u32(15)), mantissa = vandq_u32(code, vdupq_n_u32(7));
    const uint32x4_t implied = vbicq_u32(vdupq_n_u32(8), vceqzq_u32(exponent));
    const uint32x4_t power = vaddq_u32(vmaxq_u32(exponent, vdupq_n_u32(1)), vdupq_n_u32(127 - 11));
    const float32x4_t value = vmulq_f32(vcvtq_f32_u32(vaddq_u32(mantissa, implied)), vreinterpretq_f32_u32(vshlq_n_u32(power, 23)));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), vceqq_u32(code, vdupq_n_u32(0x7f))));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const int8x16_t table = vld1q_s8(kE2m1Codes);
    for (int block = 0; block < 4; ++block, p += kBlockBytes) {
      out.scales[block] = scales_of(load_as<uint32_t>(p));
      for (int half = 0; half < 2; ++half) {
        // 8 bytes a group of 16: low nibbles first.
        const uint8x16_t packed = vld1q_u8(p + 4 + 16 * half);
        const uint64x2_t low = vreinterpretq_u64_u8(low_nibbles(packed)), high = vreinterpretq_u64_u8(high_nibbles(packed));
        int8x16_t* codes = out.codes + 4 * block + 2 * half;
        codes[0] = vqtbl1q_s8(table, vreinterpretq_u8_u64(vzip1q_u64(low, high)));
        codes[1] = vqtbl1q_s8(table, vreinterpretq_u8_u64(vzip2q_u64(low, high)));
      }
    }
  }
};

}  // namespace
}  // namespace moebius::cpu
