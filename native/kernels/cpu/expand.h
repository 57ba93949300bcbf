// From raw GGUF blocks to small integer codes in registers: 256 weights of one row at a time.
// A format says how its codes are read: weight = scale_g * (code - kOffset) - min_g, with a
// scale per kGroup elements; kSigned codes are s8, all others u8 of at
// most kMaxCode.
// Formats of 32 (64) elements expand 8 (4) consecutive blocks. The dot and the tile
// kernels are templates over these formats, so a format is written once.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "quant/codebooks.h"
#include "tensor/tensor.h"

namespace moebius::cpu {
namespace {

struct Expanded {
  __m256i codes[8];  // elements 32 g .. 32 g + 31
  __m256 scales[2];  // one per 32 elements: [0] only
  __m256 mins[2];    // only when kHasMin
};

template <QuantFormat format>
struct BlockFormat;

// Loads that make no assumption about alignment.
template <typename T>
inline T load_as(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
inline __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m128i load8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }

inline float f16_value(const void* p) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(load_as<uint16_t>(p))));
}

// Eight f16 values `stride` bytes apart.
template <int stride>
inline __m256 f16_values(const uint8_t* p) {
  const auto at = [p](int i) { return static_cast<int16_t>(load_as<uint16_t>(p + i * stride)); };
  return _mm256_cvtph_ps(_mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
}

inline __m256 u8_values(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)); }
inline __m256 i8_values(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)); }

// Low nibbles of 16 bytes, then their high nibbles.
inline __m256i nibbles(const void* p) {
  const __m128i packed = load16(p);
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}
inline __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
inline __m256i high_nibbles(__m256i v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}
// Bits [shift, shift + 2) of every byte.
inline __m256i two_bits(__m256i v, int shift) {
  return _mm256_and_si256(_mm256_srli_epi16(v, shift), _mm256_set1_epi8(3));
}
// Bit `shift` of every byte, moved to bit `to`.
inline __m256i one_bit(__m256i v, int shift, int to) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>(1 << to));
  const __m256i moved = shift >= to ? _mm256_srli_epi16(v, shift - to) : _mm256_slli_epi16(v, to - shift);
  return _mm256_and_si256(moved, mask);
}

#ifndef __AVX512VL__
// 0xff in every byte whose bit is set.
inline __m256i byte_mask(uint32_t bits) {
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(static_cast<int>(bits)),
      _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3,
                       3, 3, 3));
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
}
#endif

// `value` in every byte whose bit is set, else 0.
inline __m256i bytes_where(uint32_t bits, char value) {
#ifdef __AVX512VL__
  return _mm256_maskz_set1_epi8(bits, value);
#else
  return _mm256_and_si256(byte_mask(bits), _mm256_set1_epi8(value));
#endif
}

// Negates the bytes whose bit is set.
inline __m256i negate_where(__m256i v, uint32_t bits) {
#ifdef __AVX512VL__
  return _mm256_mask_sub_epi8(v, bits, _mm256_setzero_si256(), v);
#else
  const __m256i mask = byte_mask(bits);
  return _mm256_sub_epi8(_mm256_xor_si256(v, mask), mask);
#endif
}

}  // namespace
}  // namespace moebius::cpu
