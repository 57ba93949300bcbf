// The 512-bit vocabulary of the kernels: level avx512 (F, BW, DQ, VL, VNNI). Same names and
// meaning as in simd256.h; internal linkage for the same reason.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/activations.h"

#ifndef MOEBIUS_LEVEL
#define MOEBIUS_LEVEL avx512
#endif

namespace moebius::cpu {
namespace {

struct Simd {
  using F = __m512;
  using I = __m512i;
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  static constexpr int kTileVectors = 2;
  static constexpr int kFloatVectors = kTileVectors;  // the same where the products are floats
  static constexpr DotOrder kDotOrder = DotOrder::kLanes;
  static constexpr int kTileColumns = 6;
  static constexpr int kSignedOffset = 128;

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float v) { return _mm512_set1_ps(v); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static __mmask16 tail_mask(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static F load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(tail_mask(n), p); }
  static void store_first(float* p, F v, int n) { _mm512_mask_storeu_ps(p, tail_mask(n), v); }

  static float f16_value(uint16_t bits) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits))); }
  static F load_f16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load_bf16(const uint16_t* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static F load_i8(const int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static void store_f16(uint16_t* p, F v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }

  static int32_t store_codes(int8_t* p, F v) {
    const I codes = _mm512_cvtps_epi32(v);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(codes));
    return _mm512_reduce_add_epi32(codes);
  }

  static float sum(F v) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
  }
  static float highest(F v) { return _mm512_reduce_max_ps(v); }
  static F power_of_two(F k) {
    const I bits = _mm512_add_epi32(_mm512_cvtps_epi32(k), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 23));
  }

  static I zero_int() { return _mm512_setzero_si512(); }
  static I broadcast_int(const int32_t* p) { return _mm512_set1_epi32(*p); }
  static I as_int(F v) { return _mm512_castps_si512(v); }
  static F to_float(I v) { return _mm512_cvtepi32_ps(v); }
  static I load_int(const void* p) { return _mm512_loadu_si512(p); }
  static I load_aligned(const void* p) { return _mm512_load_si512(p); }
  static I add_bytes(I v, int n) { return _mm512_add_epi8(v, _mm512_set1_epi8(static_cast<char>(n))); }
  static void store_int(void* p, I v) { _mm512_storeu_si512(p, v); }
  // 16 x 16 words, rows to columns.
  static void transpose(I* r) {
    I a[16], b[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      a[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
      a[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
      b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
      b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
      b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    // Lane l of b[4 i + j] holds column 4 l + j of rows 4 i .. 4 i + 3.
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const I low01 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0x44), high01 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0xee);
      const I low23 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0x44), high23 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0xee);
      r[j] = _mm512_shuffle_i32x4(low01, low23, 0x88);
      r[4 + j] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
      r[8 + j] = _mm512_shuffle_i32x4(high01, high23, 0x88);
      r[12 + j] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
    }
  }
  template <int kBits>
  static I shift_right(I v) { return _mm512_srai_epi32(v, kBits); }

  static I dot(I acc, I codes, I x) { return _mm512_dpbusd_epi32(acc, codes, x); }
  static I dot_signed(I acc, I codes, I x) { return _mm512_dpbusd_epi32(acc, codes, x); }
  static __m256i prepare_signed(__m256i codes) {
    return _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
  }

  static I pair_products(I codes, I x) { return _mm512_maddubs_epi16(codes, x); }
  static I add_pairs(I a, I b) { return _mm512_add_epi16(a, b); }
  static I sum_pairs(I acc, I pairs) { return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1))); }

  static I and_int(I a, I b) { return _mm512_and_si512(a, b); }
  static I or_int(I a, I b) { return _mm512_or_si512(a, b); }
  static I sub_pairs(I a, I b) { return _mm512_sub_epi16(a, b); }
  static I sum_bytes(I a, I b) { return _mm512_add_epi8(a, b); }
  static I splat_byte(int n) { return _mm512_set1_epi8(static_cast<char>(n)); }
  static I splat_word(int n) { return _mm512_set1_epi32(n); }
  static I words_right(I v, int n) { return _mm512_srli_epi32(v, static_cast<unsigned>(n)); }
  static I words_left(I v, int n) { return _mm512_slli_epi32(v, static_cast<unsigned>(n)); }
  static I multiply_halves(I a, I b) { return _mm512_mullo_epi16(a, b); }
  static I signed_lines(I codes) { return _mm512_xor_si512(codes, splat_byte(-128)); }
  static I look_up(const int8_t (&table)[16], I indices) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), indices);
  }
  // `value` in the bytes i of each word whose bit `shift` + i is set, else 0.
  static I bytes_where(I words, int shift, int value) {
    const int byte = shift / 8 * 0x01010101;
    const I spread = _mm512_shuffle_epi8(words, _mm512_add_epi32(_mm512_set1_epi32(byte), _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0)));
    return _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(spread, _mm512_set1_epi32(shift % 8 == 0 ? 0x08040201 : static_cast<int>(0x80402010))), splat_byte(value));
  }
  static F half_floats(I words) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)); }
  static void gather_words(const uint8_t* const* rows, int64_t offset, I* out) {
    const auto four = [&](int i) {
      const auto at = [&](int r) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + offset)); };
      const I half = _mm512_inserti32x4(_mm512_castsi128_si512(at(i)), at(4 + i), 1);
      return _mm512_inserti32x4(_mm512_inserti32x4(half, at(8 + i), 2), at(12 + i), 3);
    };
    const I a = four(0), b = four(1), c = four(2), d = four(3);
    const I low_ab = _mm512_unpacklo_epi32(a, b), low_cd = _mm512_unpacklo_epi32(c, d);
    const I high_ab = _mm512_unpackhi_epi32(a, b), high_cd = _mm512_unpackhi_epi32(c, d);
    out[0] = _mm512_unpacklo_epi64(low_ab, low_cd);
    out[1] = _mm512_unpackhi_epi64(low_ab, low_cd);
    out[2] = _mm512_unpacklo_epi64(high_ab, high_cd);
    out[3] = _mm512_unpackhi_epi64(high_ab, high_cd);
  }

  static constexpr int kVectorsPerBlock = 4;
  static I code_vector(const __m256i* groups, int index) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(groups[2 * index]), groups[2 * index + 1], 1);
  }

  // Row dots: codes in lanes (activations.h), all four vectors in one sum.
  static constexpr int kSumsPerBlock = 1;
  static constexpr int kDotColumns = 8;
  static constexpr int dot_bytes(int, int part) { return part * 64; }
  static void order_for_dots(I* codes) {
    const I low01 = _mm512_unpacklo_epi32(codes[0], codes[1]), low23 = _mm512_unpacklo_epi32(codes[2], codes[3]);
    const I high01 = _mm512_unpackhi_epi32(codes[0], codes[1]), high23 = _mm512_unpackhi_epi32(codes[2], codes[3]);
    codes[0] = _mm512_unpacklo_epi64(low01, low23);
    codes[1] = _mm512_unpackhi_epi64(low01, low23);
    codes[2] = _mm512_unpacklo_epi64(high01, high23);
    codes[3] = _mm512_unpackhi_epi64(high01, high23);
  }

  // The scale and min of every lane.
  struct Factors {
    F scales, mins;
  };
  static F join(__m256 low, __m256 high) { return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1); }
  // Lane order from one value per 16 or (the first eight) per 32 elements.
  static F lanes_of_16(F values) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), values);
  }
  static F lanes_of_32(__m256 values) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7, 1, 3, 5, 7), _mm512_castps256_ps512(values));
  }
  static Factors with_offset(F scales, float offset) { return {scales, mul(scales, set1(offset))}; }
  template <int kGroup>
  static Factors join_factors(const __m256* scales, const __m256* mins) {
    if constexpr (kGroup == 32) return {lanes_of_32(scales[0]), lanes_of_32(mins[0])};
    return {lanes_of_16(join(scales[0], scales[1])), lanes_of_16(join(mins[0], mins[1]))};
  }
  template <int kGroup, typename Column>
  static F times_scales(const Factors& factors, const Column& column) {
    return mul(factors.scales, _mm512_load_ps(column.dot_scales));
  }
  template <int kGroup>
  static F spread(F products, int) { return products; }
  template <int kGroup, typename Column>
  static F subtract_mins(F sum, const Factors& factors, const Column& column) {
    return fnma(factors.mins, _mm512_load_ps(column.sums16), sum);
  }

  // Two rows of 128 in one block: groups 0..7 lie in the first two lanes of every quarter.
  template <typename Column>
  static void repeat_first_half(Column& column) {
    const auto twice = [](void* line) { _mm512_store_si512(line, _mm512_shuffle_epi32(_mm512_load_si512(line), _MM_PERM_BABA)); };
    for (int vector = 0; vector < kVectorsPerBlock; ++vector) twice(column.dot_codes + 64 * vector);
    twice(column.dot_scales);
    twice(column.sums16);
  }
  static void split_rows(const F* sums, F less, F* totals) {
    const F both = add(sums[0], less);
    totals[0] = _mm512_maskz_mov_ps(0x3333, both);
    totals[1] = _mm512_maskz_mov_ps(0xcccc, both);
  }
  static __m128 sums4(F a, F b, F c, F d) {
    const auto fold = [](F v) { return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)); };
    const __m256 a8 = fold(a), b8 = fold(b), c8 = fold(c), d8 = fold(d);
    const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a8, b8), _mm256_unpackhi_ps(a8, b8));
    const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c8, d8), _mm256_unpackhi_ps(c8, d8));
    const __m256 all = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
  }
  static void store_sums4(float* out, F a, F b, F c, F d) { _mm_storeu_ps(out, sums4(a, b, c, d)); }
};

}  // namespace
}  // namespace moebius::cpu
