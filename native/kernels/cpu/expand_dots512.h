// Expansion for the row dots with AVX-512: codes straight into lanes (activations.h), with the
// scale and min of each. Same weights as BlockFormat<format>, fewer steps.
#pragma once

#include "kernels/cpu/activations.h"
#include "kernels/cpu/expand_iq.h"
#include "kernels/cpu/expand_small.h"
#include "quant/k_blocks.h"
#include "quant/ternary_blocks.h"

namespace moebius::cpu {
namespace {

template <QuantFormat format>
struct DotFormat {
  static constexpr bool kExists = false;
};

// One word for each lane, made from the number of its group of 16.
struct LaneWords {
  alignas(64) int32_t words[16];
  operator __m512i() const { return _mm512_load_si512(words); }
};
template <typename WordOfGroup>
constexpr LaneWords lane_words(WordOfGroup word_of_group) {
  LaneWords lanes{};
  for (int lane = 0; lane < 16; ++lane) lanes.words[lane] = word_of_group(group_of_lane(lane));
  return lanes;
}
// The same for the four vectors: the words of the source that they take.
struct LaneSources {
  LaneWords vectors[4];
};
template <typename WordOfGroup>
constexpr LaneSources lane_sources(WordOfGroup first_word_of_group) {
  LaneSources sources{};
  for (int j = 0; j < 4; ++j) sources.vectors[j] = lane_words([=](int group) { return first_word_of_group(group) + j; });
  return sources;
}

inline __m512i load64(const void* p) { return _mm512_loadu_si512(p); }
inline __m512i splat(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
inline __m512i widen(__m256i v) { return _mm512_castsi256_si512(v); }
// codes | (high & mask)
inline __m512i with_bits(__m512i codes, __m512i high, int mask) { return _mm512_ternarylogic_epi32(codes, high, splat(mask), 0xf8); }
// 16 bytes, one per group, by lanes.
inline __m128i bytes_of_lanes(__m128i groups) {
  return _mm_shuffle_epi8(groups, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}
inline __m512 splat_f16(const uint16_t& bits) { return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(load_as<uint16_t>(&bits)))); }

// Q4_K and Q5_K: the f16 pair (d, dmin) at the head times the eight 6-bit scales and mins
// behind it.
inline Simd::Factors k_factors(const uint8_t* head) {
  const __m128i block = load16(head);
  const __m128i low = _mm_srlv_epi32(_mm_shuffle_epi8(block, _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)), _mm_setr_epi32(0, 0, 0, 4));
  const __m128i high = _mm_shuffle_epi8(block, _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11));
  const __m128i high_bits = _mm_and_si128(_mm_srli_epi16(high, 2), _mm_set1_epi8(0x30));
  const __m128i bytes = _mm_ternarylogic_epi32(high_bits, low, _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f), 0xf8);
  const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m512 factors = _mm512_permutexvar_ps(halves, _mm512_castps128_ps512(_mm_cvtph_ps(block)));
  const __m512 both = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)), factors);
  constexpr LaneWords kScales = lane_words([](int group) { return group / 2; });
  constexpr LaneWords kMins = lane_words([](int group) { return 8 + group / 2; });
  return {_mm512_permutexvar_ps(kScales, both), _mm512_permutexvar_ps(kMins, both)};
}

// Each lane's words of the 128 bytes at hand, its nibble of every byte.
inline void nibbles_of_lanes(__m512i first, __m512i second, const LaneSources& sources, const LaneWords& shifts, __m512i* codes) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
    codes[j] = _mm512_and_si512(_mm512_srlv_epi32(_mm512_permutex2var_epi32(first, sources.vectors[j], second), shifts), splat(15));
}

// The nibbles of Q4_K and Q5_K: 32 bytes hold two groups of 32.
inline void k_nibbles(const uint8_t* qs, __m512i* codes) {
  static constexpr LaneSources kSources = lane_sources([](int group) { return group / 4 * 8 + group % 2 * 4; });
  static constexpr LaneWords kShifts = lane_words([](int group) { return group / 2 % 2 * 4; });
  nibbles_of_lanes(load64(qs), load64(qs + 64), kSources, kShifts, codes);
}

template <>
struct DotFormat<QuantFormat::kQ4_K> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors = k_factors(p);
    k_nibbles(reinterpret_cast<const BlockQ4_K*>(p)->qs, codes);
  }
};

template <>
struct DotFormat<QuantFormat::kQ5_K> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors = k_factors(p);
    const auto* block = reinterpret_cast<const BlockQ5_K*>(p);
    k_nibbles(block->qs, codes);
    // Bit g of qh is the fifth bit of group g of 32.
    static constexpr LaneSources kSources = lane_sources([](int group) { return group % 2 * 4; });
    static constexpr LaneWords kTurns = lane_words([](int group) { return (4 - group / 2) & 31; });
    const __m512i high = widen(load32(block->qh));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      codes[j] = with_bits(codes[j], _mm512_rolv_epi32(_mm512_permutexvar_epi32(kSources.vectors[j], high), kTurns), 0x10);
  }
};

// Two bits of each byte: groups of 32 in shifts of 0, 2, 4, 6, halves of 128 one after the
// other. The words they are in, and how far to turn them so that they end at bit `to`.
constexpr LaneSources kTwoBitSources = lane_sources([](int group) { return group / 8 * 8 + group % 2 * 4; });
template <int to>
constexpr LaneWords kTwoBitTurns = lane_words([](int group) { return (to - group / 2 % 4 * 2) & 31; });

inline void two_bit_codes(const uint8_t* qs, __m512i* codes) {
  const __m512i bits = load64(qs);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
    codes[j] = _mm512_and_si512(_mm512_rolv_epi32(_mm512_permutexvar_epi32(kTwoBitSources.vectors[j], bits), kTwoBitTurns<0>), splat(3));
}

template <>
struct DotFormat<QuantFormat::kQ6_K> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const auto* block = reinterpret_cast<const BlockQ6_K*>(p);
    const __m512 scales = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes_of_lanes(load16(block->scales))));
    factors = Simd::with_offset(_mm512_mul_ps(scales, splat_f16(block->d)), 32);
    static constexpr LaneSources kSources = lane_sources([](int group) { return group / 8 * 16 + group / 2 % 2 * 8 + group % 2 * 4; });
    static constexpr LaneWords kShifts = lane_words([](int group) { return group / 4 % 2 * 4; });
    const __m512i high = load64(block->qh);
    nibbles_of_lanes(load64(block->ql), load64(block->ql + 64), kSources, kShifts, codes);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      codes[j] = with_bits(codes[j], _mm512_rolv_epi32(_mm512_permutexvar_epi32(kTwoBitSources.vectors[j], high), kTwoBitTurns<4>), 0x30);
  }
};

template <>
struct DotFormat<QuantFormat::kQ2_K> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const auto* block = reinterpret_cast<const BlockQ2_K*>(p);
    const __m128i packed = bytes_of_lanes(load16(block->scales)), mask = _mm_set1_epi8(15);
    const auto values = [](__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)); };
    factors.scales = _mm512_mul_ps(values(_mm_and_si128(packed, mask)), splat_f16(block->d));
    factors.mins = _mm512_mul_ps(values(_mm_and_si128(_mm_srli_epi16(packed, 4), mask)), splat_f16(block->dmin));
    two_bit_codes(block->qs, codes);
  }
};

template <>
struct DotFormat<QuantFormat::kQ3_K> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const auto* block = reinterpret_cast<const BlockQ3_K*>(p);
    const __m128i scales = bytes_of_lanes(BlockFormat<QuantFormat::kQ3_K>::scales_of(block->scales));
    factors = Simd::with_offset(_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scales)), splat_f16(block->d)), 4);
    // Bit g of hmask is the third bit of group g of 32.
    static constexpr LaneSources kSources = lane_sources([](int group) { return group % 2 * 4; });
    static constexpr LaneWords kTurns = lane_words([](int group) { return (2 - group / 2) & 31; });
    const __m512i high = widen(load32(block->hmask));
    two_bit_codes(block->qs, codes);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      codes[j] = with_bits(codes[j], _mm512_rolv_epi32(_mm512_permutexvar_epi32(kSources.vectors[j], high), kTurns), 4);
  }
};

// Eight blocks of 32, `stride` apart: 16 bytes of nibbles each, low ones first.
template <int stride>
inline void small_nibbles(const uint8_t* first, __m512i* codes) {
  static constexpr LaneSources kSources = lane_sources([](int group) { return group / 2 * 4; });
  static constexpr LaneWords kShifts = lane_words([](int group) { return group % 2 * 4; });
  const auto four = [](const uint8_t* p) {
    const __m512i pair = _mm512_inserti32x4(_mm512_castsi128_si512(load16(p)), load16(p + stride), 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(pair, load16(p + 2 * stride), 2), load16(p + 3 * stride), 3);
  };
  nibbles_of_lanes(four(first), four(first + 4 * stride), kSources, kShifts, codes);
}

template <>
struct DotFormat<QuantFormat::kQ4_0> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors = Simd::with_offset(Simd::lanes_of_32(f16_values<18>(p)), 8);
    small_nibbles<18>(p + 2, codes);
  }
};

template <>
struct DotFormat<QuantFormat::kIQ4_NL> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors = Simd::with_offset(Simd::lanes_of_32(f16_values<18>(p)), Simd::kSignedOffset);
    small_nibbles<18>(p + 2, codes);
    for (int j = 0; j < 4; ++j) codes[j] = _mm512_xor_si512(Simd::look_up(kNonLinearCodes, codes[j]), splat(-128));
  }
};

template <>
struct DotFormat<QuantFormat::kIQ4_XS> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors = Simd::with_offset(Simd::lanes_of_32(BlockFormat<QuantFormat::kIQ4_XS>::scales_of(p)), Simd::kSignedOffset);
    small_nibbles<16>(reinterpret_cast<const BlockIQ4_XS*>(p)->qs, codes);
    for (int j = 0; j < 4; ++j) codes[j] = _mm512_xor_si512(Simd::look_up(kNonLinearCodes, codes[j]), splat(-128));
  }
};

template <>
struct DotFormat<QuantFormat::kMXFP4> {
  static constexpr bool kExists = true;
  using Format = BlockFormat<QuantFormat::kMXFP4>;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors = Simd::with_offset(Simd::lanes_of_32(Format::scales_of(p)), Format::kOffset);
    small_nibbles<Format::kBlockBytes>(p + 1, codes);
    for (int j = 0; j < 4; ++j) codes[j] = Simd::look_up(kE2m1Codes, codes[j]);
  }
};

template <>
struct DotFormat<QuantFormat::kNVFP4> {
  static constexpr bool kExists = true;
  using Format = BlockFormat<QuantFormat::kNVFP4>;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const __m512 scales = _mm512_cvtph_ps(Format::halves_of(bytes_of_lanes(Format::scale_codes(p))));
    factors = Simd::with_offset(_mm512_mul_ps(scales, _mm512_set1_ps(Format::kHalf)), Format::kOffset);
    // A group is two words: their low nibbles first.
    static constexpr LaneWords kFirst = lane_words([](int group) { return 2 * group; }), kSecond = lane_words([](int group) { return 2 * group + 1; });
    const auto two = [](const uint8_t* block) { return _mm512_inserti64x4(widen(load32(block + 4)), load32(block + Format::kBlockBytes + 4), 1); };
    const __m512i low = two(p), high = two(p + 2 * Format::kBlockBytes);
    const __m512i first = _mm512_permutex2var_epi32(low, kFirst, high), second = _mm512_permutex2var_epi32(low, kSecond, high);
    const auto values = [](__m512i words) { return Simd::look_up(kE2m1Codes, _mm512_and_si512(words, splat(15))); };
    codes[0] = values(first);
    codes[1] = values(second);
    codes[2] = values(_mm512_srli_epi32(first, 4));
    codes[3] = values(_mm512_srli_epi32(second, 4));
  }
};

template <>
struct DotFormat<QuantFormat::kTQ1_0> {
  static constexpr bool kExists = true;
  // Five (of the last four bytes: four) trits a byte, ((byte * power mod 256) * 3) >> 8 each:
  // in words, the high byte of one is the product modulo 256.
  static __m512i digits(__m512i bytes, __m512i powers) {
    const __m512i three = _mm512_set1_epi16(3), high_powers = _mm512_slli_epi16(powers, 8);
    const auto digit = [&](__m512i words) { return _mm512_mulhi_epu16(_mm512_mullo_epi16(words, high_powers), three); };
    return _mm512_or_si512(digit(bytes), _mm512_slli_epi16(digit(_mm512_srli_epi16(bytes, 8)), 8));
  }
  // Powers of four quarters of 16 bytes.
  static __m512i powers(int a, int b, int c, int d) {
    const auto both = [](int power) { return power * 0x00010001; };
    const __m512i quarters = _mm512_set4_epi32(both(d), both(c), both(b), both(a));
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3), quarters);
  }
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const auto* block = reinterpret_cast<const BlockTQ1_0*>(p);
    factors = Simd::with_offset(splat_f16(block->d), 1);
    const __m512i first = _mm512_broadcast_i64x4(load32(block->qs));
    const __m512i second = _mm512_broadcast_i32x4(load16(block->qs + 32));
    const __m128i last = _mm_set1_epi32(load_as<int32_t>(block->qh));
    codes[0] = digits(first, powers(1, 1, 3, 3));
    codes[1] = digits(first, powers(9, 9, 27, 27));
    codes[2] = digits(_mm512_mask_mov_epi32(first, 0xff00, second), powers(81, 81, 1, 3));
    // The last quarter: four bytes under each of four powers.
    const __m512i last_powers = _mm512_mask_mov_epi32(powers(9, 27, 81, 0), 0xf000, _mm512_set4_epi32(27 * 0x00010001, 9 * 0x00010001, 3 * 0x00010001, 0x00010001));
    codes[3] = digits(_mm512_inserti32x4(second, last, 3), last_powers);
    Simd::order_for_dots(codes);
  }
};

template <>
struct DotFormat<QuantFormat::kTQ2_0> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    const auto* block = reinterpret_cast<const BlockTQ2_0*>(p);
    factors = Simd::with_offset(splat_f16(block->d), 1);
    two_bit_codes(block->qs, codes);
  }
};

template <>
struct DotFormat<QuantFormat::kQ5_0> {
  static constexpr bool kExists = true;
  static constexpr int kBytes = 22;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    factors = Simd::with_offset(Simd::lanes_of_32(f16_values<kBytes>(p)), 16);
    small_nibbles<kBytes>(p + 6, codes);
    const auto at = [p](int block) { return load_as<int32_t>(p + block * kBytes + 2); };
    const __m512i bits = widen(_mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
    static constexpr LaneWords kBlocks = lane_words([](int group) { return group / 2; });
    // Four bits of a block belong to a lane: a table turns them into the fifth bit of its bytes.
    static constexpr LaneSources kFirst = [] {
      LaneSources shifts{};
      for (int j = 0; j < 4; ++j) shifts.vectors[j] = lane_words([=](int group) { return group % 2 * 16 + 4 * j; });
      return shifts;
    }();
    static constexpr LaneWords kFifthBits = [] {
      LaneWords table{};
      for (int four = 0; four < 16; ++four)
        for (int byte = 0; byte < 4; ++byte) table.words[four] |= (four >> byte & 1) << (8 * byte + 4);
      return table;
    }();
    const __m512i lanes = _mm512_permutexvar_epi32(kBlocks, bits);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      codes[j] = _mm512_or_si512(codes[j], _mm512_permutexvar_epi32(_mm512_srlv_epi32(lanes, kFirst.vectors[j]), kFifthBits));
  }
};

template <>
struct DotFormat<QuantFormat::kQ8_0> {
  static constexpr bool kExists = true;
  static constexpr int kBytes = 34;
  static void expand(const uint8_t* p, __m512i* codes, Simd::Factors& factors) {
    // The eight f16 scales, 17 words apart.
    const __m512i words = _mm512_set1_epi64(static_cast<long long>(0x0033002200110000));
    const __m512i low = _mm512_permutex2var_epi16(load64(p), words, load64(p + 64));
    const __m512i high = _mm512_permutex2var_epi16(load64(p + 4 * kBytes), words, load64(p + 4 * kBytes + 64));
    const __m128i halves = _mm_unpacklo_epi64(_mm512_castsi512_si128(low), _mm512_castsi512_si128(high));
    factors = Simd::with_offset(Simd::lanes_of_32(_mm256_cvtph_ps(halves)), Simd::kSignedOffset);
    for (int i = 0; i < 4; ++i) {
      const uint8_t* block = p + 2 * i * kBytes + 2;
      codes[i] = _mm512_xor_si512(_mm512_inserti64x4(widen(load32(block)), load32(block + kBytes), 1), splat(-128));
    }
    Simd::order_for_dots(codes);
  }
};

}  // namespace
}  // namespace moebius::cpu
