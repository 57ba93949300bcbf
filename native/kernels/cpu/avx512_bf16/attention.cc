#define MOEBIUS_LEVEL avx512_bf16
#include "kernels/cpu/simd512.h"

namespace moebius::cpu {
namespace {

// Pairs of bfloat16, one in each 32-bit lane; rounded to the nearest even.
struct Bf16 {
  static __m512i broadcast(const uint16_t* pair) {
    int32_t word;
    __builtin_memcpy(&word, pair, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static __m512 dot(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  // Lanes a[0] a[1], a[2] a[3], ... b[14] b[15].
  static __m512i round(__m512 a, __m512 b) { return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b, a)); }
  // Lanes even[i] odd[i].
  static __m512i pair(__m512 even, __m512 odd) {
    alignas(64) static constexpr uint16_t kPlaces[32] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_load_si512(kPlaces), round(even, odd));
  }
};

}  // namespace
}  // namespace moebius::cpu

#include "kernels/cpu/attention_bf16.inl"
