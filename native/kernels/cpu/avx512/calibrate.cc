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
  // 0x3f80 is 1.0 in bfloat16; the operands are opaque to the compiler as in run_rounds.
  __m512i x = _mm512_set1_epi16(0x3f80), y = x;
  __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (int64_t round = 0; round < n_rounds; ++round) {
    __asm__ volatile("" : "+v"(x), "+v"(y));
    const auto left = reinterpret_cast<__m512bh>(x), right = reinterpret_cast<__m512bh>(y);
    a = _mm512_dpbf16_ps(a, left, right);
    b = _mm512_dpbf16_ps(b, left, right);
    c = _mm512_dpbf16_ps(c, left, right);
    d = _mm512_dpbf16_ps(d, left, right);
    e = _mm512_dpbf16_ps(e, left, right);
    f = _mm512_dpbf16_ps(f, left, right);
    g = _mm512_dpbf16_ps(g, left, right);
    h = _mm512_dpbf16_ps(h, left, right);
  }
  const __m512 total = _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)),
                                     _mm512_add_ps(_mm512_add_ps(e, f), _mm512_add_ps(g, h)));
  return _mm_cvtss_f32(_mm512_castps512_ps128(total));
}

}  // namespace

PeakLoops avx512_peak_loops() { return simd_peak_loops(int8_rounds); }
PeakLoop avx512_bf16_dot_loop() { return {bf16_rounds, 2.0 * 32 * 8}; }

}  // namespace moebius::cpu
