// Not a level: the one loop that needs the bfloat16 extension, in a file compiled for it.
#define MOEBIUS_LEVEL neon_bf16
#include "kernels/cpu/simd_neon.h"

#include "kernels/cpu/calibrate.inl"

namespace moebius::cpu {
namespace {

float bf16_rounds(int64_t n_rounds) {
  // 0x3f80 is 1.0 in bfloat16. Hidden, because GCC 12 loads a bfloat16 constant as if it were
  // a half.
  float32x4_t ones = vreinterpretq_f32_u32(vdupq_n_u32(0x3f803f80));
  hide(ones);
  const auto step = [](float32x4_t sum, float32x4_t x, float32x4_t y) {
    return vbfmmlaq_f32(sum, vreinterpretq_bf16_f32(x), vreinterpretq_bf16_f32(y));
  };
  return vgetq_lane_f32(run_rounds<float32x4_t>(n_rounds, Simd::zero(), ones, ones, step, Simd::add, Sums()), 0);
}

}  // namespace

// Two rows by two columns of four inputs.
PeakLoop neon_bf16_product_loop() { return {bf16_rounds, 2.0 * 16 * kSums}; }

}  // namespace moebius::cpu
