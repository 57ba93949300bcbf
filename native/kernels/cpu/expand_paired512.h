// Expansion for the row dots with AVX-512: codes straight into paired order (activations.h),
// scales and mins as one vector each. Same weights as BlockFormat<format>, fewer steps.
#pragma once

#include "kernels/cpu/expand.h"
#include "quant/k_blocks.h"

namespace moebius::cpu {
namespace {

template <QuantFormat format>
struct PairedFormat {
  static constexpr bool kExists = false;
};

inline __m512i load64(const void* p) { return _mm512_loadu_si512(p); }
inline __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
inline __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

// codes[0], codes[1] from groups [a | c] and [b | d].
inline void pair_quarters(__m512i ac, __m512i bd, __m512i* codes) {
  codes[0] = _mm512_unpacklo_epi64(ac, bd);
  codes[1] = _mm512_unpackhi_epi64(ac, bd);
}

// [scales | mins] of Q4_K and Q5_K: the f16 pair (d, dmin) at the head times the eight 6-bit
// scales and mins behind it.
inline __m512 paired_k_scales(const uint8_t* head) {
  const __m128i block = load16(head);
  const __m128i low = _mm_srlv_epi32(_mm_shuffle_epi8(block, _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)), _mm_setr_epi32(0, 0, 0, 4));
  const __m128i high = _mm_shuffle_epi8(block, _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11));
  const __m128i high_bits = _mm_and_si128(_mm_srli_epi16(high, 2), _mm_set1_epi8(0x30));
  const __m128i bytes = _mm_ternarylogic_epi32(high_bits, low, _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f), 0xf8);
  const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m512 factors = _mm512_permutexvar_ps(halves, _mm512_castps128_ps512(_mm_cvtph_ps(block)));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)), factors);
}

template <>
struct PairedFormat<QuantFormat::kQ4_K> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors.scales = paired_k_scales(p);
    const auto* block = reinterpret_cast<const BlockQ4_K*>(p);
    for (int half = 0; half < 2; ++half) {
      const __m512i packed = load64(block->qs + 64 * half);
      pair_quarters(low_nibbles(packed), high_nibbles(packed), codes + 2 * half);
    }
  }
};

template <>
struct PairedFormat<QuantFormat::kQ5_K> {
  static constexpr bool kExists = true;
  // Bit g of qh is the fifth bit of group g; [a | c] takes bits 4 half and 4 half + 2.
  static __m512i fifth_bits(__m512i high, int first) {
    const __m512i shifts = _mm512_inserti64x4(_mm512_set1_epi16(static_cast<int16_t>(first)), _mm256_set1_epi16(static_cast<int16_t>(first + 2)), 1);
    return _mm512_slli_epi16(_mm512_and_si512(_mm512_srlv_epi16(high, shifts), _mm512_set1_epi8(1)), 4);
  }
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors.scales = paired_k_scales(p);
    const auto* block = reinterpret_cast<const BlockQ5_K*>(p);
    const __m512i high = _mm512_broadcast_i64x4(load32(block->qh));
    for (int half = 0; half < 2; ++half) {
      const __m512i packed = load64(block->qs + 64 * half);
      pair_quarters(_mm512_or_si512(low_nibbles(packed), fifth_bits(high, 4 * half)),
                    _mm512_or_si512(high_nibbles(packed), fifth_bits(high, 4 * half + 1)), codes + 2 * half);
    }
  }
};

template <>
struct PairedFormat<QuantFormat::kQ6_K> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const auto* block = reinterpret_cast<const BlockQ6_K*>(p);
    const __m512 d = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(load_as<uint16_t>(&block->d))));
    factors.scales = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(block->scales))), d);
    factors.mins = _mm512_mul_ps(factors.scales, _mm512_set1_ps(32));
    const __m512i mask = _mm512_set1_epi8(0x30);
    const __m512i left = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
    const __m512i right = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
    for (int half = 0; half < 2; ++half) {
      const __m512i low = load64(block->ql + 64 * half);
      const __m512i high = _mm512_broadcast_i64x4(load32(block->qh + 32 * half));
      // (low bits) | (high bits & mask): groups a b, then c d.
      codes[2 * half] = _mm512_ternarylogic_epi32(low_nibbles(low), _mm512_sllv_epi16(high, left), mask, 0xf8);
      codes[2 * half + 1] = _mm512_ternarylogic_epi32(high_nibbles(low), _mm512_srlv_epi16(high, right), mask, 0xf8);
    }
    Simd::pair_groups(codes);
  }
};

template <>
struct PairedFormat<QuantFormat::kQ8_0> {
  static constexpr bool kExists = true;
  static constexpr int kBytes = 34;
  // The eight f16 scales, 17 words apart, and their blocks' codes.
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const __m512i words = _mm512_set1_epi64(static_cast<long long>(0x0033002200110000));
    const __m512i low = _mm512_permutex2var_epi16(load64(p), words, load64(p + 64));
    const __m512i high = _mm512_permutex2var_epi16(load64(p + 4 * kBytes), words, load64(p + 4 * kBytes + 64));
    const __m128i halves = _mm_unpacklo_epi64(_mm512_castsi512_si128(low), _mm512_castsi512_si128(high));
    factors = Simd::with_offset(_mm256_cvtph_ps(halves), Simd::kSignedOffset);
    const auto groups = [p](int first, int second) {
      const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(load32(p + first * kBytes + 2)), load32(p + second * kBytes + 2), 1);
      return _mm512_xor_si512(both, _mm512_set1_epi8(-128));
    };
    for (int half = 0; half < 2; ++half)
      pair_quarters(groups(4 * half, 4 * half + 2), groups(4 * half + 1, 4 * half + 3), codes + 2 * half);
  }
};

}  // namespace
}  // namespace moebius::cpu
