// Expansion of the formats of 32 and 64 elements (layouts in quant/small_blocks.h).
#pragma once

#include "kernels/cpu/expand.h"

namespace moebius::cpu {
namespace {

// What all of them share; the defaults of a format.
struct SmallFormat {
  static constexpr int kBlockElements = 32;
  static constexpr int kGroup = 32;
  static constexpr bool kSigned = false;
  static constexpr bool kHasMin = false;
  static constexpr int kOffset = 0;
  static constexpr int kMaxCode = 127;
};

inline __m256i look_up(const int8_t (&table)[16], __m256i indices) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(table)), indices);
}

alignas(16) constexpr int8_t kNonLinearCodes[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                    1,    13,   25,  38,  53,  69,  89,  113};
// Twice the E2M1 value, plus 16.
alignas(16) constexpr int8_t kE2m1Codes[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

template <>
struct BlockFormat<QuantFormat::kQ8_0> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ8_0;
  static constexpr int kBlockBytes = 34;
  static constexpr bool kSigned = true;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = f16_values<kBlockBytes>(p);
    for (int g = 0; g < 8; ++g) out.codes[g] = load32(p + g * kBlockBytes + 2);
  }
};

template <>
struct BlockFormat<QuantFormat::kQ4_0> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ4_0;
  static constexpr int kBlockBytes = 18;
  static constexpr int kOffset = 8;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = f16_values<kBlockBytes>(p);
    for (int g = 0; g < 8; ++g) out.codes[g] = nibbles(p + g * kBlockBytes + 2);
  }
};

template <>
struct BlockFormat<QuantFormat::kQ4_1> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ4_1;
  static constexpr int kBlockBytes = 20;
  static constexpr bool kHasMin = true;
  static constexpr int kMaxCode = 15;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = f16_values<kBlockBytes>(p);
    out.mins[0] = _mm256_sub_ps(_mm256_setzero_ps(), f16_values<kBlockBytes>(p + 2));
    for (int g = 0; g < 8; ++g) out.codes[g] = nibbles(p + g * kBlockBytes + 4);
  }
};

inline __m256i nibbles_with_fifth_bit(const uint8_t* high_bits, const uint8_t* packed) {
  return _mm256_or_si256(nibbles(packed), bytes_where(load_as<uint32_t>(high_bits), 16));
}

template <>
struct BlockFormat<QuantFormat::kQ5_0> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ5_0;
  static constexpr int kBlockBytes = 22;
  static constexpr int kOffset = 16;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = f16_values<kBlockBytes>(p);
    for (int g = 0; g < 8; ++g)
      out.codes[g] = nibbles_with_fifth_bit(p + g * kBlockBytes + 2, p + g * kBlockBytes + 6);
  }
};

template <>
struct BlockFormat<QuantFormat::kQ5_1> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ5_1;
  static constexpr int kBlockBytes = 24;
  static constexpr bool kHasMin = true;
  static constexpr int kMaxCode = 31;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = f16_values<kBlockBytes>(p);
    out.mins[0] = _mm256_sub_ps(_mm256_setzero_ps(), f16_values<kBlockBytes>(p + 2));
    for (int g = 0; g < 8; ++g)
      out.codes[g] = nibbles_with_fifth_bit(p + g * kBlockBytes + 4, p + g * kBlockBytes + 8);
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ4_NL> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ4_NL;
  static constexpr int kBlockBytes = 18;
  static constexpr bool kSigned = true;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = f16_values<kBlockBytes>(p);
    for (int g = 0; g < 8; ++g) out.codes[g] = look_up(kNonLinearCodes, nibbles(p + g * kBlockBytes + 2));
  }
};

template <>
struct BlockFormat<QuantFormat::kMXFP4> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kMXFP4;
  static constexpr int kBlockBytes = 17;
  static constexpr int kOffset = 16;
  static __m256 scales_of(const uint8_t* p) {
    const auto at = [p](int i) { return static_cast<int>(p[i * kBlockBytes]); };
    const __m256i e = _mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
    // Half of 2^(e - 127); e of 0 and 1 give subnormals.
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    const __m256i is_tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, tiny, is_tiny));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    out.scales[0] = scales_of(p);
    for (int g = 0; g < 8; ++g) out.codes[g] = look_up(kE2m1Codes, nibbles(p + g * kBlockBytes + 1));
  }
};

template <>
struct BlockFormat<QuantFormat::kNVFP4> : SmallFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kNVFP4;
  static constexpr int kBlockElements = 64;
  static constexpr int kBlockBytes = 36;
  static constexpr int kGroup = 16;
  static constexpr int kOffset = 16;
  // Half of the unsigned E4M3 values of 16 codes, as f16 without the factor kHalf; 0x7f is 0.
  static constexpr float kHalf = 128;
  static __m256i halves_of(__m128i codes) {
    const __m128i invalid = _mm_cmpeq_epi8(codes, _mm_set1_epi8(0x7f));
    const __m128i valid = _mm_andnot_si128(invalid, _mm_and_si128(codes, _mm_set1_epi8(0x7f)));
    return _mm256_slli_epi16(_mm256_cvtepu8_epi16(valid), 7);
  }
  static __m128i scale_codes(const uint8_t* p) {
    const auto at = [p](int block) { return load_as<int32_t>(p + block * kBlockBytes); };
    return _mm_setr_epi32(at(0), at(1), at(2), at(3));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const __m256i halves = halves_of(scale_codes(p));
    out.scales[0] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), _mm256_set1_ps(kHalf));
    out.scales[1] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)), _mm256_set1_ps(kHalf));
    for (int block = 0; block < 4; ++block) {
      // 8 bytes a group of 16: low nibbles first.
      const __m256i packed = load32(p + block * kBlockBytes + 4);
      const __m256i low = look_up(kE2m1Codes, low_nibbles(packed)), high = look_up(kE2m1Codes, high_nibbles(packed));
      const __m256i even = _mm256_unpacklo_epi64(low, high), odd = _mm256_unpackhi_epi64(low, high);
      out.codes[2 * block] = _mm256_permute2x128_si256(even, odd, 0x20);
      out.codes[2 * block + 1] = _mm256_permute2x128_si256(even, odd, 0x31);
    }
  }
};

}  // namespace
}  // namespace moebius::cpu
