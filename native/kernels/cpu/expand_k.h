// Expansion of the K and ternary formats (layouts in quant/k_blocks.h, ternary_blocks.h).
#pragma once

#include "kernels/cpu/expand.h"
#include "quant/k_blocks.h"
#include "quant/ternary_blocks.h"

namespace moebius::cpu {
namespace {

// What all of them share; the defaults of a format.
struct SuperFormat {
  static constexpr int kBlockElements = 256;
  static constexpr int kGroup = 32;
  static constexpr bool kSigned = false;
  static constexpr bool kHasMin = false;
  static constexpr int kOffset = 0;
  static constexpr int kMaxCode = 127;
};

// The eight 6-bit scales and mins of Q4_K and Q5_K as bytes of two words.
inline void k_scales(const uint8_t* packed, float d, float dmin, Expanded& out) {
  const auto a = load_as<uint32_t>(packed), b = load_as<uint32_t>(packed + 4), c = load_as<uint32_t>(packed + 8);
  const uint32_t scale_low = a & 0x3f3f3f3f, scale_high = (c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030);
  const uint32_t min_low = b & 0x3f3f3f3f, min_high = ((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030);
  const auto bytes = [](uint32_t low, uint32_t high) {
    return _mm_cvtsi64_si128(static_cast<long long>((static_cast<uint64_t>(high) << 32) | low));
  };
  out.scales[0] = _mm256_mul_ps(u8_values(bytes(scale_low, scale_high)), _mm256_set1_ps(d));
  out.mins[0] = _mm256_mul_ps(u8_values(bytes(min_low, min_high)), _mm256_set1_ps(dmin));
}

template <>
struct BlockFormat<QuantFormat::kQ4_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ4_K;
  static constexpr int kBlockBytes = 144;
  static constexpr bool kHasMin = true;
  static constexpr int kMaxCode = 15;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ4_K*>(p);
    k_scales(block->scales, f16_value(&block->d), f16_value(&block->dmin), out);
    for (int c = 0; c < 4; ++c) {
      const __m256i packed = load32(block->qs + 32 * c);
      out.codes[2 * c] = low_nibbles(packed);
      out.codes[2 * c + 1] = high_nibbles(packed);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ5_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ5_K;
  static constexpr int kBlockBytes = 176;
  static constexpr bool kHasMin = true;
  static constexpr int kMaxCode = 31;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ5_K*>(p);
    k_scales(block->scales, f16_value(&block->d), f16_value(&block->dmin), out);
    const __m256i high = load32(block->qh);
    for (int c = 0; c < 4; ++c) {
      const __m256i packed = load32(block->qs + 32 * c);
      out.codes[2 * c] = _mm256_or_si256(low_nibbles(packed), one_bit(high, 2 * c, 4));
      out.codes[2 * c + 1] = _mm256_or_si256(high_nibbles(packed), one_bit(high, 2 * c + 1, 4));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ6_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ6_K;
  static constexpr int kBlockBytes = 210;
  static constexpr int kGroup = 16;
  static constexpr int kOffset = 32;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ6_K*>(p);
    const __m256 d = _mm256_set1_ps(f16_value(&block->d));
    for (int half = 0; half < 2; ++half) {
      out.scales[half] = _mm256_mul_ps(i8_values(load8(block->scales + 8 * half)), d);
      const __m256i first = load32(block->ql + 64 * half), second = load32(block->ql + 64 * half + 32);
      const __m256i high = load32(block->qh + 32 * half);
      const __m256i mask = _mm256_set1_epi8(0x30);
      __m256i* codes = out.codes + 4 * half;
      codes[0] = _mm256_or_si256(low_nibbles(first), _mm256_and_si256(_mm256_slli_epi16(high, 4), mask));
      codes[1] = _mm256_or_si256(low_nibbles(second), _mm256_and_si256(_mm256_slli_epi16(high, 2), mask));
      codes[2] = _mm256_or_si256(high_nibbles(first), _mm256_and_si256(high, mask));
      codes[3] = _mm256_or_si256(high_nibbles(second), _mm256_and_si256(_mm256_srli_epi16(high, 2), mask));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ2_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ2_K;
  static constexpr int kBlockBytes = 84;
  static constexpr int kGroup = 16;
  static constexpr bool kHasMin = true;
  static constexpr int kMaxCode = 3;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ2_K*>(p);
    const __m256 d = _mm256_set1_ps(f16_value(&block->d)), dmin = _mm256_set1_ps(f16_value(&block->dmin));
    const __m128i packed = load16(block->scales), mask = _mm_set1_epi8(15);
    const __m128i scales = _mm_and_si128(packed, mask), mins = _mm_and_si128(_mm_srli_epi16(packed, 4), mask);
    out.scales[0] = _mm256_mul_ps(u8_values(scales), d);
    out.scales[1] = _mm256_mul_ps(u8_values(_mm_srli_si128(scales, 8)), d);
    out.mins[0] = _mm256_mul_ps(u8_values(mins), dmin);
    out.mins[1] = _mm256_mul_ps(u8_values(_mm_srli_si128(mins, 8)), dmin);
    for (int half = 0; half < 2; ++half) {
      const __m256i codes = load32(block->qs + 32 * half);
      for (int run = 0; run < 4; ++run) out.codes[4 * half + run] = two_bits(codes, 2 * run);
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kQ3_K> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kQ3_K;
  static constexpr int kBlockBytes = 110;
  static constexpr int kGroup = 16;
  static constexpr int kOffset = 4;
  static __m128i scales_of(const uint8_t* packed) {
    const __m128i first = load8(packed), mask = _mm_set1_epi8(15);
    const __m128i low = _mm_and_si128(_mm_unpacklo_epi64(first, _mm_srli_epi16(first, 4)), mask);
    const __m128i spread = _mm_srlv_epi32(_mm_set1_epi32(load_as<int32_t>(packed + 8)), _mm_setr_epi32(0, 2, 4, 6));
    const __m128i high = _mm_slli_epi16(_mm_and_si128(spread, _mm_set1_epi8(3)), 4);
    return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockQ3_K*>(p);
    const __m256 d = _mm256_set1_ps(f16_value(&block->d));
    const __m128i scales = scales_of(block->scales);
    out.scales[0] = _mm256_mul_ps(i8_values(scales), d);
    out.scales[1] = _mm256_mul_ps(i8_values(_mm_srli_si128(scales, 8)), d);
    const __m256i mask = load32(block->hmask);
    for (int run = 0; run < 8; ++run) {
      const __m256i low = two_bits(load32(block->qs + run / 4 * 32), 2 * (run % 4));
      out.codes[run] = _mm256_or_si256(low, one_bit(mask, run, 2));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kTQ2_0> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kTQ2_0;
  static constexpr int kBlockBytes = 66;
  static constexpr int kOffset = 1;
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockTQ2_0*>(p);
    out.scales[0] = _mm256_set1_ps(f16_value(&block->d));
    for (int run = 0; run < 8; ++run) out.codes[run] = two_bits(load32(block->qs + run / 4 * 32), 2 * (run % 4));
  }
};

template <>
struct BlockFormat<QuantFormat::kTQ1_0> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kTQ1_0;
  static constexpr int kBlockBytes = 54;
  static constexpr int kOffset = 1;
  // Digits are ((byte * power mod 256) * 3) >> 8, powers of 3. Less 128, a byte is still
  // multiplied by 3 modulo 256, and the digit is how many of 85 and 170 it exceeds.
  static __m256i times_3(__m256i v) { return _mm256_add_epi8(_mm256_add_epi8(v, v), v); }
  static __m256i times_9(__m256i v) { return times_3(times_3(v)); }
  static __m256i digits(__m256i v) {
    const __m256i one = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(85 - 128)), two = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(170 - 128));
    return _mm256_abs_epi8(_mm256_add_epi8(one, two));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockTQ1_0*>(p);
    out.scales[0] = _mm256_set1_ps(f16_value(&block->d));
    const __m256i bias = _mm256_set1_epi8(-128);
    __m256i first = _mm256_xor_si256(load32(block->qs), bias);
    for (int n = 0; n < 5; ++n, first = times_3(first)) out.codes[n] = digits(first);
    // 16 bytes under powers 1 and 3, 9 and 27, 81; then four bytes under 1, 3, 9 and 27.
    const __m256i second = _mm256_xor_si256(_mm256_broadcastsi128_si256(load16(block->qs + 32)), bias);
    const __m256i low = _mm256_blend_epi32(second, times_3(second), 0xf0), high = times_9(low);
    const __m256i last = _mm256_xor_si256(_mm256_set1_epi32(load_as<int32_t>(block->qh)), bias);
    const __m256i pairs = _mm256_blend_epi32(last, times_3(last), 0xa0), fours = _mm256_blend_epi32(pairs, times_9(pairs), 0xc0);
    out.codes[5] = digits(low);
    out.codes[6] = digits(high);
    out.codes[7] = digits(_mm256_blend_epi32(times_9(high), fours, 0xf0));
  }
};

}  // namespace
}  // namespace moebius::cpu
