#define MOEBIUS_LEVEL neon_bf16
#include "kernels/cpu/simd_neon.h"

namespace moebius::cpu {
namespace {

// Pairs of bfloat16, one in each 32-bit lane; rounded to the nearest even.
struct Bf16 {
  static int32x4_t broadcast(const uint16_t* pair) {
    int32_t word;
    __builtin_memcpy(&word, pair, sizeof word);
    return vdupq_n_s32(word);
  }
  static float32x4_t dot(float32x4_t sum, int32x4_t a, int32x4_t b) {
    return vbfdotq_f32(sum, vreinterpretq_bf16_s32(a), vreinterpretq_bf16_s32(b));
  }
  // Lanes a[0] a[1], a[2] a[3], b[0] b[1], b[2] b[3].
  static int32x4_t round(float32x4_t a, float32x4_t b) { return vreinterpretq_s32_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(a), b)); }
  // Lanes even[i] odd[i].
  static int32x4_t pair(float32x4_t even, float32x4_t odd) {
    const int16x8_t rounded = vreinterpretq_s16_s32(round(even, odd));
    return vreinterpretq_s32_s16(vzip1q_s16(rounded, vextq_s16(rounded, rounded, 4)));
  }
};

}  // namespace
}  // namespace moebius::cpu

#include "kernels/cpu/attention_bf16.inl"
