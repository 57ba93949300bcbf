// The 512-bit vocabulary of the kernels: level avx512 (F, BW, DQ, VL, VNNI). Same names and
// meaning as in simd256.h; internal linkage for the same reason.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define MOEBIUS_LEVEL avx512

namespace moebius::cpu {
namespace {

struct Simd {
  using F = __m512;
  using I = __m512i;
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  static constexpr int kTileVectors = 2;
  static constexpr int kFloatVectors = kTileVectors;  // the same where the products are floats
  static constexpr bool kPairedCodes = true;  // the row dots read ActivationBlock::paired
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

  static constexpr int kSumsPerBlock = 2;
  static constexpr int kDotColumns = 8;
  static constexpr int paired_bytes(int sum, int part) { return sum * 128 + part * 64; }
  static void pair_groups(I* codes) {
    const I even = _mm512_setr_epi64(0, 4, 2, 6, 8, 12, 10, 14), odd = _mm512_setr_epi64(1, 5, 3, 7, 9, 13, 11, 15);
    for (int s = 0; s < kSumsPerBlock; ++s) {
      const I ab = codes[2 * s], cd = codes[2 * s + 1];
      codes[2 * s] = _mm512_permutex2var_epi64(ab, even, cd);
      codes[2 * s + 1] = _mm512_permutex2var_epi64(ab, odd, cd);
    }
  }

  // Groups of 32: `scales` holds [scales | mins], to be met by an ActivationBlock's
  // [scales | sums32]. Groups of 16: one vector each.
  struct Factors {
    F scales, mins;
  };
  static F join(__m256 low, __m256 high) { return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1); }
  static Factors with_offset(__m256 scales, float offset) {
    return {join(scales, _mm256_mul_ps(scales, _mm256_set1_ps(offset))), zero()};
  }
  template <int kGroup>
  static Factors join_factors(const __m256* scales, const __m256* mins) {
    if constexpr (kGroup == 32) return {join(scales[0], mins[0]), zero()};
    return {join(scales[0], scales[1]), join(mins[0], mins[1])};
  }
  // Products with a column's scales and, for groups of 32, sums.
  template <int kGroup>
  static F times_scales(const Factors& factors, const float* x_scales) {
    if constexpr (kGroup == 32) return mul(factors.scales, load(x_scales));
    const I twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return mul(factors.scales, _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_load_ps(x_scales))));
  }
  template <int kGroup>
  static F spread(F products, int s) {
    const int a = kGroup == 32 ? 4 * s : 8 * s;
    const I lanes = kGroup == 32 ? _mm512_setr_epi32(0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3)
                                 : _mm512_setr_epi32(0, 0, 2, 2, 1, 1, 3, 3, 4, 4, 6, 6, 5, 5, 7, 7);
    return _mm512_permutexvar_ps(_mm512_add_epi32(lanes, _mm512_set1_epi32(a)), products);
  }
  template <int kGroup>
  static F subtract_mins(F sum, const Factors& factors, F products, const float* x_sums16) {
    if constexpr (kGroup == 16) return fnma(factors.mins, load(x_sums16), sum);
    return _mm512_mask_sub_ps(sum, 0xff00, sum, products);
  }
  static void subtract_pair_mins(F* sums, const Factors&, F products, const float*) {
    sums[0] = _mm512_mask_sub_ps(sums[0], 0x0f00, sums[0], products);
    sums[1] = _mm512_mask_sub_ps(sums[1], 0xf000, sums[1], products);
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
