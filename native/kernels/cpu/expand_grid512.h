// The IQ formats with AVX-512: grid entries come from register lookups of packed words
// (grid_tables.h) instead of one load per entry, 32 at a time.
#pragma once

#include "kernels/cpu/expand_iq.h"
#include "kernels/cpu/grid_tables.h"

namespace moebius::cpu {
namespace {

// Specialised where a format has a 512-bit expansion of its own; the codes are those of
// BlockFormat<format>, 64 to a vector.
template <QuantFormat format>
struct WideFormat {
  static constexpr bool kExists = false;
};

// table[indices] for 64 * kPairs entries: two registers a lookup, chosen by the upper bits.
template <int kPairs>
inline __m512i look_up_words(const uint16_t* table, __m512i indices) {
  if constexpr (kPairs == 1) {
    return _mm512_permutex2var_epi16(_mm512_load_si512(table), indices, _mm512_load_si512(table + 32));
  } else {
    const __mmask32 upper = _mm512_test_epi16_mask(indices, _mm512_set1_epi16(32 * kPairs));
    return _mm512_mask_blend_epi16(upper, look_up_words<kPairs / 2>(table, indices),
                                   look_up_words<kPairs / 2>(table + 32 * kPairs, indices));
  }
}

// Words [first, first + 8) as 64 bytes: 8 values of 2 bits each, through `levels`.
inline __m512i spread8(__m512i words, int first, __m512i levels) {
  const __m512i order = _mm512_add_epi16(_mm512_set1_epi16(static_cast<int16_t>(first)),
                                         _mm512_set_epi16(7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0));
  const __m512i shifts = _mm512_set1_epi64(0x0006000400020000);
  const __m512i fields = _mm512_srlv_epi16(_mm512_permutexvar_epi16(order, words), shifts);
  return _mm512_shuffle_epi8(levels, _mm512_and_si512(fields, _mm512_set1_epi16(0x0303)));
}

// Words [first, first + 16) as 64 bytes: 4 values of 3 bits each.
inline __m512i spread4(__m512i words, int first, __m512i levels) {
  const __m512i order = _mm512_add_epi16(_mm512_set1_epi16(static_cast<int16_t>(first)),
                                         _mm512_set_epi16(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0));
  const __m512i fields = _mm512_srlv_epi16(_mm512_permutexvar_epi16(order, words), _mm512_set1_epi32(0x00030000));
  return _mm512_shuffle_epi8(levels, _mm512_and_si512(fields, _mm512_set1_epi16(0x0707)));
}

inline __m512i levels_of(int64_t low_eight) { return _mm512_broadcast_i32x4(_mm_cvtsi64_si128(low_eight)); }

// 64 + magnitude, turned into 64 - magnitude where the sign bit is set.
inline __m512i with_signs(__m512i codes, uint64_t signs) {
  return _mm512_mask_sub_epi8(codes, signs, _mm512_set1_epi8(static_cast<char>(128)), codes);
}

// 64 + {8, 25, 43} and 64 + {4, 12, 20, 28, 36, 44, 52, 62}
constexpr int64_t kIq2Codes = 0x006b5948, kIq3xxsCodes = 0x7e746c645c544c44;
// 16 + {1, 3, 5, ... 15}
constexpr int64_t kIq3sCodes = 0x1f1d1b1917151311;
// 8 (g + 1) + 9 for g of -1, 0, 1
constexpr int64_t kIq1Codes = 0x00191109;

// Four 7-bit sign codes in each word as 32 sign bits; see sign_bits().
inline __m256i sign_words(__m256i words) {
  const auto field = [&](int l) {
    return _mm256_and_si256(_mm256_slli_epi32(words, l), _mm256_set1_epi32(0x7f << (8 * l)));
  };
  const __m256i spread = _mm256_or_si256(_mm256_or_si256(field(0), field(1)), _mm256_or_si256(field(2), field(3)));
  __m256i parity = _mm256_xor_si256(spread, _mm256_srli_epi32(spread, 4));
  parity = _mm256_xor_si256(parity, _mm256_srli_epi32(parity, 2));
  parity = _mm256_xor_si256(parity, _mm256_srli_epi32(parity, 1));
  return _mm256_or_si256(spread, _mm256_slli_epi32(_mm256_and_si256(parity, _mm256_set1_epi32(0x01010101)), 7));
}

inline void apply_signs(const __m256i sign_bytes, __m512i* codes) {
  alignas(32) uint64_t signs[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(signs), sign_bytes);
  for (int c = 0; c < 4; ++c) codes[c] = with_signs(codes[c], signs[c]);
}

template <>
struct WideFormat<QuantFormat::kIQ2_XXS> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, const GridTables& tables, __m512i* codes, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_XXS*>(p);
    const __m512i groups = _mm512_loadu_si512(block->groups);
    const __m256i words = _mm512_cvtepi64_epi32(_mm512_srli_epi64(groups, 32));
    out.scales[0] = half_step(_mm256_cvtepi32_ps(_mm256_srli_epi32(words, 28)), f16_value(&block->d), 0.25f);
    const __m512i entries = look_up_words<4>(tables.iq2xxs, _mm512_cvtepu8_epi16(_mm512_cvtepi64_epi32(groups)));
    for (int c = 0; c < 4; ++c) codes[c] = spread8(entries, 8 * c, levels_of(kIq2Codes));
    apply_signs(sign_words(words), codes);
  }
};

template <>
struct WideFormat<QuantFormat::kIQ2_XS> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, const GridTables& tables, __m512i* codes, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_XS*>(p);
    const float d = f16_value(&block->d);
    nibble_scales(block->scales, out.scales[0], out.scales[1]);
    out.scales[0] = half_step(out.scales[0], d, 0.25f);
    out.scales[1] = half_step(out.scales[1], d, 0.25f);
    const __m512i q = _mm512_loadu_si512(block->qs), seven = _mm512_srli_epi16(q, 9);
    __m512i parity = _mm512_xor_si512(seven, _mm512_srli_epi16(seven, 4));
    parity = _mm512_xor_si512(parity, _mm512_srli_epi16(parity, 2));
    parity = _mm512_xor_si512(parity, _mm512_srli_epi16(parity, 1));
    const __m512i eighth = _mm512_slli_epi16(_mm512_and_si512(parity, _mm512_set1_epi16(1)), 7);
    const __m512i entries = look_up_words<8>(tables.iq2xs, _mm512_and_si512(q, _mm512_set1_epi16(511)));
    for (int c = 0; c < 4; ++c) codes[c] = spread8(entries, 8 * c, levels_of(kIq2Codes));
    apply_signs(_mm512_cvtepi16_epi8(_mm512_or_si512(seven, eighth)), codes);
  }
};

// Each of 8 words four times.
inline __m512i four_times(__m128i words) {
  const __m512i order = _mm512_set_epi16(7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutexvar_epi16(order, _mm512_castsi128_si512(words));
}

template <>
struct WideFormat<QuantFormat::kIQ2_S> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, const GridTables& tables, __m512i* codes, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_S*>(p);
    const float d = f16_value(&block->d);
    nibble_scales(block->scales, out.scales[0], out.scales[1]);
    out.scales[0] = half_step(out.scales[0], d, 0.25f);
    out.scales[1] = half_step(out.scales[1], d, 0.25f);
    const __m512i high = _mm512_srlv_epi16(four_times(_mm_cvtepu8_epi16(load8(block->qh))), _mm512_set1_epi64(0x0006000400020000));
    const __m512i upper = _mm512_slli_epi16(_mm512_and_si512(high, _mm512_set1_epi16(3)), 8);
    const __m512i indices = _mm512_or_si512(_mm512_cvtepu8_epi16(load32(block->qs)), upper);
    const __m512i entries = look_up_words<16>(tables.iq2s, indices);
    for (int c = 0; c < 4; ++c)
      codes[c] = with_signs(spread8(entries, 8 * c, levels_of(kIq2Codes)), load_as<uint64_t>(block->signs + 8 * c));
  }
};

template <>
struct WideFormat<QuantFormat::kIQ3_XXS> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, const GridTables& tables, __m512i* codes, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ3_XXS*>(p);
    const __m256i words = load32(block->scales_signs);
    out.scales[0] = half_step(_mm256_cvtepi32_ps(_mm256_srli_epi32(words, 28)), f16_value(&block->d), 0.5f);
    for (int half = 0; half < 2; ++half) {
      const __m512i entries = look_up_words<4>(tables.iq3xxs, _mm512_cvtepu8_epi16(load32(block->qs + 32 * half)));
      codes[2 * half] = spread4(entries, 0, levels_of(kIq3xxsCodes));
      codes[2 * half + 1] = spread4(entries, 16, levels_of(kIq3xxsCodes));
    }
    apply_signs(sign_words(words), codes);
  }
};

template <>
struct WideFormat<QuantFormat::kIQ3_S> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, const GridTables& tables, __m512i* codes, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ3_S*>(p);
    const __m128i packed = _mm_cvtsi32_si128(load_as<int32_t>(block->scales)), mask = _mm_set1_epi8(15);
    const __m128i s = _mm_unpacklo_epi8(_mm_and_si128(packed, mask), _mm_and_si128(_mm_srli_epi16(packed, 4), mask));
    out.scales[0] = half_step(u8_values(s), f16_value(&block->d), 2.0f);
    for (int half = 0; half < 2; ++half) {
      const __m512i low = _mm512_cvtepu8_epi16(load32(block->qs + 32 * half));
      const __m512i ninth = _mm512_maskz_set1_epi16(load_as<uint32_t>(block->qh + 4 * half), 256);
      const __m512i indices = _mm512_or_si512(low, ninth);
      const __m512i entries = look_up_words<8>(tables.iq3s, indices);
      codes[2 * half] = spread4(entries, 0, levels_of(kIq3sCodes));
      codes[2 * half + 1] = spread4(entries, 16, levels_of(kIq3sCodes));
    }
    // 16 + v becomes 16 - v.
    for (int c = 0; c < 4; ++c)
      codes[c] = _mm512_mask_sub_epi8(codes[c], load_as<uint64_t>(block->signs + 8 * c), _mm512_set1_epi8(32), codes[c]);
  }
};

// Takes 2 from the bytes whose shift is negative.
inline __m512i with_shift(__m512i codes, uint64_t minus) {
  return _mm512_mask_sub_epi8(codes, minus, codes, _mm512_set1_epi8(2));
}

template <>
struct WideFormat<QuantFormat::kIQ1_S> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, const GridTables& tables, __m512i* codes, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ1_S*>(p);
    const __m128i high = load16(block->qh);
    const __m256i s = _mm256_and_si256(_mm256_srli_epi32(_mm256_cvtepu16_epi32(high), 12), _mm256_set1_epi32(7));
    out.scales[0] = half_step(_mm256_cvtepi32_ps(s), f16_value(&block->d), 0.25f);
    const __m512i fields = _mm512_srlv_epi16(four_times(high), _mm512_set1_epi64(0x0009000600030000));
    const __m512i upper = _mm512_slli_epi16(_mm512_and_si512(fields, _mm512_set1_epi16(7)), 8);
    const __m512i entries = look_up_words<32>(tables.iq1s, _mm512_or_si512(_mm512_cvtepu8_epi16(load32(block->qs)), upper));
    const auto minus = static_cast<uint64_t>(_mm_movepi16_mask(high));
    for (int c = 0; c < 4; ++c) {
      const uint64_t both = _pdep_u64(minus >> (2 * c), 0x0000000100000001ull) * 0xffffffffull;
      codes[c] = with_shift(spread8(entries, 8 * c, levels_of(kIq1Codes)), both);
    }
  }
};

template <>
struct WideFormat<QuantFormat::kIQ1_M> {
  static constexpr bool kExists = true;
  static void expand(const uint8_t* p, const GridTables& tables, __m512i* codes, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ1_M*>(p);
    iq1_m_scales(block, out);
    const __m128i packed = load16(block->qh), mask = _mm_set1_epi8(7);
    const __m128i low = _mm_and_si128(packed, mask), high = _mm_and_si128(_mm_srli_epi16(packed, 4), mask);
    const __m256i upper = _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
    const __m512i indices = _mm512_or_si512(_mm512_cvtepu8_epi16(load32(block->qs)), _mm512_slli_epi16(_mm512_cvtepu8_epi16(upper), 8));
    const __m512i entries = look_up_words<32>(tables.iq1s, indices);
    for (int c = 0; c < 4; ++c) {
      const uint64_t minus = _pdep_u64(_pext_u32(load_as<uint32_t>(block->qh + 4 * c), 0x88888888), 0x0101010101010101ull) * 255u;
      codes[c] = with_shift(spread8(entries, 8 * c, levels_of(kIq1Codes)), minus);
    }
  }
};

}  // namespace
}  // namespace moebius::cpu
