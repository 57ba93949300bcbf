// As expand.h for AArch64: 256 weights of one row become s8 codes in registers. Dots are
// signed by signed there, so no format needs an offset: weight = scale_g * code - min_g.
// Where it saves instructions the codes carry a power of two that the scales take back.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "quant/codebooks.h"
#include "tensor/tensor.h"

namespace moebius::cpu {
namespace {

struct Expanded {
  int8x16_t codes[16];    // elements 16 i .. 16 i + 15
  float32x4_t scales[4];  // one per kGroup elements; [0] and [1] where that is 32
  float32x4_t mins[4];    // same; only when kHasMin
};

template <QuantFormat format>
struct BlockFormat;

// Loads that make no assumption about alignment.
template <typename T>
inline T load_as(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

inline float16x4_t halves(uint64_t bits) { return vreinterpret_f16_u16(vcreate_u16(bits)); }
inline float f16_value(const void* p) { return vgetq_lane_f32(vcvt_f32_f16(halves(load_as<uint16_t>(p))), 0); }

// Four f16 values `stride` bytes apart.
template <int stride>
inline float32x4_t f16_values(const uint8_t* p) {
  const auto at = [p](int i) { return static_cast<uint64_t>(load_as<uint16_t>(p + i * stride)) << (16 * i); };
  return vcvt_f32_f16(halves(at(0) | at(1) | at(2) | at(3)));
}

// Eight small integers as floats times a factor, in two vectors.
inline void scaled(uint8x8_t bytes, float factor, float32x4_t* out) {
  const uint16x8_t words = vmovl_u8(bytes);
  out[0] = vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))), factor);
  out[1] = vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(vget_high_u16(words))), factor);
}
inline void scaled(int8x8_t bytes, float factor, float32x4_t* out) {
  const int16x8_t words = vmovl_s8(bytes);
  out[0] = vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))), factor);
  out[1] = vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(words))), factor);
}

inline int8x16_t as_signed(uint8x16_t v) { return vreinterpretq_s8_u8(v); }
inline uint8x16_t low_nibbles(uint8x16_t v) { return vandq_u8(v, vdupq_n_u8(15)); }
inline uint8x16_t high_nibbles(uint8x16_t v) { return vshrq_n_u8(v, 4); }
// Bits [shift, shift + 2) of every byte.
inline uint8x16_t two_bits(uint8x16_t v, int shift) {
  return vandq_u8(vshlq_u8(v, vdupq_n_s8(static_cast<int8_t>(-shift))), vdupq_n_u8(3));
}
// `value` in every byte that lacks the bit.
inline uint8x16_t where_clear(uint8x16_t bytes, uint8x16_t bit, uint8_t value) {
  return vbicq_u8(vdupq_n_u8(value), vtstq_u8(bytes, bit));
}

// One bit a byte, from the lowest on, twice.
inline uint8x16_t each_bit() { return vcombine_u8(vcreate_u8(0x8040201008040201ull), vcreate_u8(0x8040201008040201ull)); }
// Two bytes of bits, each in eight lanes.
inline uint8x16_t bits_spread(const uint8_t* p) { return vcombine_u8(vld1_dup_u8(p), vld1_dup_u8(p + 1)); }

// Negates the bytes whose bit is set.
inline int8x16_t negate_where(int8x16_t v, const uint8_t* bits) {
  const int8x16_t mask = as_signed(vtstq_u8(bits_spread(bits), each_bit()));
  return vsubq_s8(veorq_s8(v, mask), mask);
}

}  // namespace
}  // namespace moebius::cpu
