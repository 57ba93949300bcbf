// The 128-bit vocabulary of the kernels for AArch64: levels neon_base (widening multiplies),
// neon (dot product) and neon_i8mm (matrix multiply-add). Same names and meaning as in
// simd256.h; internal linkage for the same reason. The including file defines MOEBIUS_LEVEL:
// some compilers raise the baseline above that of the level.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/activations.h"

namespace moebius::cpu {
namespace {

struct Simd {
  using F = float32x4_t;
  using I = int32x4_t;
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 32;
  static constexpr DotOrder kDotOrder = DotOrder::kNatural;
  static constexpr int kFloatVectors = 4;

  static F zero() { return vdupq_n_f32(0); }
  static F set1(float v) { return vdupq_n_f32(v); }
  static F load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, F v) { vst1q_f32(p, v); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F max(F a, F b) { return vmaxq_f32(a, b); }
  static F min(F a, F b) { return vminq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F fnma(F a, F b, F c) { return vfmsq_f32(c, a, b); }
  static F abs(F a) { return vabsq_f32(a); }
  static F round(F a) { return vrndnq_f32(a); }

  static F load_first(const float* p, int n) {
    float values[kLanes] = {};
    for (int i = 0; i < n; ++i) values[i] = p[i];
    return load(values);
  }
  static void store_first(float* p, F v, int n) {
    float values[kLanes];
    store(values, v);
    for (int i = 0; i < n; ++i) p[i] = values[i];
  }

  static float f16_value(uint16_t bits) { return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits))), 0); }
  static F load_f16(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static F load_bf16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
  static F load_i8(const int8_t* p) {
    int32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(word)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
  }

  static int32_t store_codes(int8_t* p, F v) {
    const I codes = vcvtnq_s32_f32(v);
    const int16x4_t words = vmovn_s32(codes);
    const int32_t bytes = vget_lane_s32(vreinterpret_s32_s8(vmovn_s16(vcombine_s16(words, words))), 0);
    __builtin_memcpy(p, &bytes, sizeof bytes);
    return vaddvq_s32(codes);
  }

  static float sum(F v) { return vaddvq_f32(v); }
  static float highest(F v) { return vmaxvq_f32(v); }
  static F power_of_two(F k) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(k), vdupq_n_s32(127)), 23));
  }

  static I zero_int() { return vdupq_n_s32(0); }
  static I as_int(F v) { return vreinterpretq_s32_f32(v); }
  static F to_float(I v) { return vcvtq_f32_s32(v); }
  static I load_int(const void* p) { return vreinterpretq_s32_s8(vld1q_s8(static_cast<const int8_t*>(p))); }
  static void store_int(void* p, I v) { vst1q_s8(static_cast<int8_t*>(p), vreinterpretq_s8_s32(v)); }
  // 4 x 4 words, rows to columns.
  static void transpose(I* r) {
    const I a = vtrn1q_s32(r[0], r[1]), b = vtrn2q_s32(r[0], r[1]);
    const I c = vtrn1q_s32(r[2], r[3]), d = vtrn2q_s32(r[2], r[3]);
    const auto low = [](I v, I w) { return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(v), vreinterpretq_s64_s32(w))); };
    const auto high = [](I v, I w) { return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(v), vreinterpretq_s64_s32(w))); };
    r[0] = low(a, c);
    r[1] = low(b, d);
    r[2] = high(a, c);
    r[3] = high(b, d);
  }

  // acc + four-way dot of signed codes and signed activations.
  static I dot(I acc, int8x16_t codes, int8x16_t x) {
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(acc, codes, x);
#else
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(codes), vget_low_s8(x)));
    const int32x4_t high = vpaddlq_s16(vmull_high_s8(codes, x));
    return vaddq_s32(acc, vpaddq_s32(low, high));
#endif
  }
  // The same with the four activations of one lane of x.
  template <int kLane>
  static I dot_lane(I acc, int8x16_t codes, int8x16_t x) {
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_laneq_s32(acc, codes, x, kLane);
#else
    return dot(acc, codes, vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(x), kLane)));
#endif
  }
  // Sums of the products of two runs of 16.
  static I dot32(const int8x16_t* codes, const int8_t* x) {
#ifdef __ARM_FEATURE_DOTPROD
    return dot(dot(zero_int(), codes[0], vld1q_s8(x)), codes[1], vld1q_s8(x + 16));
#else
    // Two products of at most 128 * 127 fit in 16 bits.
    const int8x16_t a = vld1q_s8(x), b = vld1q_s8(x + 16);
    const int16x8_t first = vmlal_high_s8(vmull_s8(vget_low_s8(codes[0]), vget_low_s8(a)), codes[0], a);
    const int16x8_t second = vmlal_high_s8(vmull_s8(vget_low_s8(codes[1]), vget_low_s8(b)), codes[1], b);
    return vpadalq_s16(vpaddlq_s16(first), second);
#endif
  }
  // Sums of the products of one run of 16, in any lanes.
  static I dot16(int8x16_t codes, const int8_t* x) {
#ifdef __ARM_FEATURE_DOTPROD
    return dot(zero_int(), codes, vld1q_s8(x));
#else
    const int8x16_t a = vld1q_s8(x);
    return vpaddlq_s16(vmlal_high_s8(vmull_s8(vget_low_s8(codes), vget_low_s8(a)), codes, a));
#endif
  }
};

}  // namespace
}  // namespace moebius::cpu
