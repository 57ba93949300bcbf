#include "kernels/cpu/simd512.h"

#include "kernels/cpu/calibrate.inl"

namespace moebius::cpu {
namespace {

float int8_rounds(int64_t n_rounds) {
  const auto step = [](__m512i sum, __m512i x, __m512i y) { return Simd::dot(sum, x, y); };
  const auto add = [](__m512i a, __m512i b) { return _mm512_add_epi32(a, b); };
  const __m512i total = run_rounds<__m512i>(n_rounds, _mm512_set1_epi32(1), _mm512_set1_epi8(3), _mm512_set1_epi8(5), step, add, Sums());
  return static_cast<float>(_mm_cvtsi128_si32(_mm512_castsi512_si128(total)));
}

// The level's files are compiled without this extension: only this function may use it.
__attribute__((target("avx512bf16"))) float bf16_rounds(int64_t n_rounds) {
  // 0x3f80 is 1.0 in bfloat16. A lambda would lose the target, so the rounds are written out.
  __m512i x = _mm512_set1_epi16(0x3f80);
  __m512 sums[kSums];
  for (__m512& sum : sums) {
    sum = _mm512_setzero_ps();
    hide(sum);
  }
  for (int64_t round = 0; round < n_rounds; ++round) {
#pragma GCC unroll 16
    for (__m512& sum : sums) {
      hide(x);
      sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(x));
    }
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm_cvtss_f32(_mm512_castps512_ps128(sum));
  return total;
}

}  // namespace

PeakLoops avx512_peak_loops() { return simd_peak_loops(int8_rounds); }
PeakLoop avx512_bf16_dot_loop() { return {bf16_rounds, 2.0 * 32 * kSums}; }

}  // namespace moebius::cpu
