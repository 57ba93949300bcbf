#define MOEBIUS_LEVEL neon_i8mm
#include "kernels/cpu/simd_neon.h"

#include "kernels/cpu/calibrate.inl"

namespace moebius::cpu {
namespace {

float int8_rounds(int64_t n_rounds) {
  const auto step = [](int32x4_t sum, int32x4_t x, int32x4_t y) {
    return vmmlaq_s32(sum, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(y));
  };
  const auto add = [](int32x4_t a, int32x4_t b) { return vaddq_s32(a, b); };
  const int32x4_t total = run_rounds<int32x4_t>(n_rounds, vdupq_n_s32(1), vdupq_n_s32(0x03030303), vdupq_n_s32(0x05050505), step, add, Sums());
  return static_cast<float>(vgetq_lane_s32(total, 0));
}

}  // namespace

PeakLoops neon_i8mm_peak_loops() {
  PeakLoops loops = simd_peak_loops(int8_rounds);
  // Two rows by two columns of eight inputs.
  loops.int8_dot.operations_per_round = 2.0 * 32 * kSums;
  return loops;
}

}  // namespace moebius::cpu
