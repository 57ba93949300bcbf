// The 256-bit vocabulary of the kernels: levels avx2 (pair multiply-add) and avx_vnni
// (four-way dot). Included by one translation unit of one level; everything has internal
// linkage, because the same names mean other instructions at another level.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/activations.h"

#ifdef __AVXVNNI__
#define MOEBIUS_LEVEL avx_vnni
#else
#define MOEBIUS_LEVEL avx2
#endif

namespace moebius::cpu {
namespace {

struct Simd {
  using F = __m256;
  using I = __m256i;
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;
  static constexpr int kTileVectors = 1;  // a weight tile is kTileVectors * kLanes rows
  static constexpr int kFloatVectors = kTileVectors;  // the same where the products are floats
  static constexpr DotOrder kDotOrder = DotOrder::kPaired;
  static constexpr int kTileColumns = 6;
#ifdef __AVXVNNI__
  static constexpr int kSignedOffset = 128;
#else
  static constexpr int kSignedOffset = 0;
#endif

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float v) { return _mm256_set1_ps(v); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static __m256i tail_mask(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  // The first n lanes (0..kLanes); the others are zero and their memory is not touched.
  static F load_first(const float* p, int n) { return _mm256_maskload_ps(p, tail_mask(n)); }
  static void store_first(float* p, F v, int n) { _mm256_maskstore_ps(p, tail_mask(n), v); }

  static float f16_value(uint16_t bits) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits))); }
  static F load_f16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F load_bf16(const uint16_t* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static F load_i8(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static void store_f16(uint16_t* p, F v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }

  // Rounds kLanes values within -127 .. 127 to int8 and returns the sum of the codes.
  static int32_t store_codes(int8_t* p, F v) {
    const I codes = _mm256_cvtps_epi32(v);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
    __m128i total = _mm_madd_epi16(words, _mm_set1_epi16(1));
    total = _mm_add_epi32(total, _mm_shuffle_epi32(total, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(total, _mm_shuffle_epi32(total, 0xb1)));
  }

  static float sum(F v) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
  static float highest(F v) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
  }
  // 2^k for integral k in -126 .. 127.
  static F power_of_two(F k) {
    const I bits = _mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
  }

  static I zero_int() { return _mm256_setzero_si256(); }
  static I broadcast_int(const int32_t* p) { return _mm256_set1_epi32(*p); }
  static I as_int(F v) { return _mm256_castps_si256(v); }
  static F to_float(I v) { return _mm256_cvtepi32_ps(v); }
  static I load_int(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static I load_aligned(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }
  static I add_bytes(I v, int n) { return _mm256_add_epi8(v, _mm256_set1_epi8(static_cast<char>(n))); }
  static void store_int(void* p, I v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  // 8 x 8 words, rows to columns.
  static void transpose(I* r) {
    I a[8], b[8];
    for (int i = 0; i < 4; ++i) {
      a[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
      a[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
      b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
      b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
      b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
      b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
      r[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
      r[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
  }
  template <int kBits>
  static I shift_right(I v) { return _mm256_srai_epi32(v, kBits); }

  // acc + four-way dot of unsigned codes (<= 128 without VNNI) and signed activations.
  static I dot(I acc, I codes, I x) {
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(acc, codes, x);
#else
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1)));
#endif
  }
  // The dots of two vectors of codes of at most 64.
  static I dot_twice(I codes_a, I a, I codes_b, I b) {
#ifdef __AVXVNNI__
    return dot(dot(zero_int(), codes_a, a), codes_b, b);
#else
    return _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(codes_a, a), _mm256_maddubs_epi16(codes_b, b)), _mm256_set1_epi16(1));
#endif
  }
  // dot() for signed codes. With VNNI the caller subtracts kSignedOffset * sum(x);
  // without it the sign moves to the activation, since u8 x s8 pairs would saturate.
  static I dot_signed(I acc, I codes, I x) {
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(acc, codes, x);
#else
    return dot(acc, _mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
#endif
  }
  // Values with the signs of others.
  static I with_signs(I v, I signs) { return _mm256_sign_epi8(v, signs); }
  // Signed codes as dot_signed wants them.
  static __m256i prepare_signed(__m256i codes) {
#ifdef __AVXVNNI__
    return _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
#else
    return codes;
#endif
  }

  // The two halves of a four-way dot, for sums in 16 bits between them.
  static I pair_products(I codes, I x) { return _mm256_maddubs_epi16(codes, x); }
  static I add_pairs(I a, I b) { return _mm256_add_epi16(a, b); }
  static I sum_pairs(I acc, I pairs) { return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))); }

  static I and_int(I a, I b) { return _mm256_and_si256(a, b); }
  static I or_int(I a, I b) { return _mm256_or_si256(a, b); }
  static I sub_pairs(I a, I b) { return _mm256_sub_epi16(a, b); }
  static I sum_bytes(I a, I b) { return _mm256_add_epi8(a, b); }
  static I splat_byte(int n) { return _mm256_set1_epi8(static_cast<char>(n)); }
  static I splat_word(int n) { return _mm256_set1_epi32(n); }
  static I words_right(I v, int n) { return _mm256_srli_epi32(v, n); }
  static I words_left(I v, int n) { return _mm256_slli_epi32(v, n); }
  static I multiply_halves(I a, I b) { return _mm256_mullo_epi16(a, b); }
  static I signed_lines(I codes) { return prepare_signed(codes); }
  static I look_up(const int8_t (&table)[16], I indices) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), indices);
  }
  // `value` in the bytes i of each word whose bit `shift` + i is set, else 0.
  static I bytes_where(I words, int shift, int value) {
    const int byte = shift / 8 * 0x01010101;
    const I spread = _mm256_shuffle_epi8(words, _mm256_add_epi32(_mm256_set1_epi32(byte), _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c)));
    const I bits = _mm256_set1_epi32(shift % 8 == 0 ? 0x08040201 : static_cast<int>(0x80402010));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bits), bits), splat_byte(value));
  }
  // The f16 in the lower half of each word.
  static F half_floats(I words) {
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_shuffle_epi8(words, order), 0x08)));
  }
  // 16 bytes at `offset` of each of kLanes rows: word w of row r in lane r of out[w].
  static void gather_words(const uint8_t* const* rows, int64_t offset, I* out) {
    const auto two = [&](int i) {
      const auto at = [&](int r) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + offset)); };
      return _mm256_inserti128_si256(_mm256_castsi128_si256(at(i)), at(4 + i), 1);
    };
    const I a = two(0), b = two(1), c = two(2), d = two(3);
    const I low_ab = _mm256_unpacklo_epi32(a, b), low_cd = _mm256_unpacklo_epi32(c, d);
    const I high_ab = _mm256_unpackhi_epi32(a, b), high_cd = _mm256_unpackhi_epi32(c, d);
    out[0] = _mm256_unpacklo_epi64(low_ab, low_cd);
    out[1] = _mm256_unpackhi_epi64(low_ab, low_cd);
    out[2] = _mm256_unpacklo_epi64(high_ab, high_cd);
    out[3] = _mm256_unpackhi_epi64(high_ab, high_cd);
  }

  // Codes of 256 weights in vectors of this level.
  static constexpr int kVectorsPerBlock = 8;
  static I code_vector(const __m256i* groups, int index) { return groups[index]; }

  // Row dots: codes in paired order (activations.h); vectors 2 s and 2 s + 1 are sum s.
  static constexpr int kSumsPerBlock = 4;
  static constexpr int kDotColumns = 4;  // columns whose sums fit the registers
  static constexpr int dot_bytes(int sum, int part) { return sum / 2 * 128 + part * 64 + sum % 2 * 32; }
  static void order_for_dots(I* codes) {
    for (int s = 0; s < kSumsPerBlock; ++s) {
      const I a = codes[2 * s], b = codes[2 * s + 1];
      codes[2 * s] = _mm256_unpacklo_epi64(a, b);
      codes[2 * s + 1] = _mm256_unpackhi_epi64(a, b);
    }
  }

  // One scale and min per group of 16 or 32 elements of a block (of 32: `low` alone).
  struct Factors {
    F scales_low, scales_high, mins_low, mins_high;
  };
  template <int kGroup>
  static Factors join_factors(const __m256* scales, const __m256* mins) {
    return {scales[0], scales[1], mins[0], mins[1]};
  }
  struct Products {
    F low, high;
  };
  template <int kGroup, typename Column>
  static Products times_scales(const Factors& factors, const Column& column) {
    const F x = load(column.scales);
    if constexpr (kGroup == 32) return {mul(factors.scales_low, x), x};
    return {mul(factors.scales_low, _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3))),
            mul(factors.scales_high, _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7)))};
  }
  // Each lane of sum s gets the factor of its group.
  template <int kGroup>
  static F spread(const Products& products, int s) {
    const int a = kGroup == 32 ? 2 * s : s % 2 * 4;
    if constexpr (kGroup == 32) return _mm256_permutevar8x32_ps(products.low, _mm256_setr_epi32(a, a, a + 1, a + 1, a, a, a + 1, a + 1));
    return _mm256_permutevar8x32_ps(s < 2 ? products.low : products.high, _mm256_setr_epi32(a, a, a + 2, a + 2, a + 1, a + 1, a + 3, a + 3));
  }
  // sum - the mins times the column's sums, in some lanes.
  template <int kGroup, typename Column>
  static F subtract_mins(F sum, const Factors& factors, const Column& column) {
    if constexpr (kGroup == 32) return fnma(factors.mins_low, load(column.sums32), sum);
    return fnma(factors.mins_high, load(column.sums16 + 8), fnma(factors.mins_low, load(column.sums16), sum));
  }

  // Two rows of 128 in one block: a column that meets both, and the totals of each from the
  // block's sums and what its mins take away.
  template <typename Column>
  static void repeat_first_half(Column& column) {
    store_int(column.dot_codes + 128, load_int(column.dot_codes));
    store_int(column.dot_codes + 160, load_int(column.dot_codes + 32));
    store_int(column.dot_codes + 192, load_int(column.dot_codes + 64));
    store_int(column.dot_codes + 224, load_int(column.dot_codes + 96));
    const auto twice = [](float* values) { store(values, _mm256_permute2f128_ps(load(values), load(values), 0)); };
    twice(column.scales);
    twice(column.sums32);
  }
  static void split_rows(const F* sums, F less, F* totals) {
    totals[0] = add(add(sums[0], sums[1]), _mm256_zextps128_ps256(_mm256_castps256_ps128(less)));
    totals[1] = add(add(sums[2], sums[3]), _mm256_zextps128_ps256(_mm256_extractf128_ps(less, 1)));
  }
  // The sums of four vectors, each taken in the same order.
  static __m128 sums4(F a, F b, F c, F d) {
    const F ab = add(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)), cd = add(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    const F all = add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
  }
  static void store_sums4(float* out, F a, F b, F c, F d) { _mm_storeu_ps(out, sums4(a, b, c, d)); }
};

}  // namespace
}  // namespace moebius::cpu
