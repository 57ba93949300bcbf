// Shared by the two 256-bit levels, whose dot step differs inside Simd.
#include "kernels/cpu/simd256.h"

#include "kernels/cpu/calibrate.inl"

namespace moebius::cpu {
namespace {

float int8_rounds(int64_t n_rounds) {
  const auto step = [](__m256i sum, __m256i x, __m256i y) { return Simd::dot(sum, x, y); };
  const auto add = [](__m256i a, __m256i b) { return _mm256_add_epi32(a, b); };
  const __m256i total = run_rounds<__m256i>(n_rounds, _mm256_set1_epi32(1), _mm256_set1_epi8(3), _mm256_set1_epi8(5), step, add, Sums());
  return static_cast<float>(_mm_cvtsi128_si32(_mm256_castsi256_si128(total)));
}

}  // namespace
}  // namespace moebius::cpu
