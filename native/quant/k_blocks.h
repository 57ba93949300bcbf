// The K formats: super-blocks of 256 elements in groups of 16 or 32, whose small integer
// scales are multiplied by the f16 scale d (and offsets by dmin). w is the decoded weight.
#pragma once

#include <cstdint>

namespace moebius {

// w = d * (scales & 15) * q - dmin * (scales >> 4), 16 groups of 16. 2.625 bits per weight.
// Per half of 128: 32 bytes of qs, shifts 0, 2, 4, 6 give four runs of 32 elements.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d, dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

// w = d * (s - 32) * (q - (bit ? 0 : 4)), 16 groups of 16. 3.4375 bits per weight.
// Low bits as Q2_K; the third bit of run r (0..7) is bit r of hmask.
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110);

// w = d * s * q - dmin * m, 8 groups of 32. 4.5 bits per weight.
// 32 bytes of qs per 64 elements: low nibbles are the first 32.
struct BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

// As Q4_K; the fifth bit of group g is bit g of qh. 5.5 bits per weight.
struct BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// w = d * s * (q - 32), 16 groups of 16. 6.5625 bits per weight.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

// Scale and offset of group g (0..7) in the 12 bytes of Q4_K and Q5_K, 6 bits each.
struct ScaleMin {
  uint8_t scale, min;
};
inline ScaleMin k_scale_min(const uint8_t* scales, int g) {
  if (g < 4) return {static_cast<uint8_t>(scales[g] & 63), static_cast<uint8_t>(scales[g + 4] & 63)};
  return {static_cast<uint8_t>((scales[g + 4] & 15) | ((scales[g - 4] >> 6) << 4)),
          static_cast<uint8_t>((scales[g + 4] >> 4) | ((scales[g] >> 6) << 4))};
}

// Scale of group g (0..15) in the 12 bytes of Q3_K, -32..31.
inline int q3_k_scale(const uint8_t* scales, int g) {
  const int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
  const int high = (scales[8 + g % 4] >> (2 * (g / 4))) & 3;
  return (low | (high << 4)) - 32;
}

void dequantize_row_q2_k(const void* src, float* dst, int64_t n);
void dequantize_row_q3_k(const void* src, float* dst, int64_t n);
void dequantize_row_q4_k(const void* src, float* dst, int64_t n);
void dequantize_row_q5_k(const void* src, float* dst, int64_t n);
void dequantize_row_q6_k(const void* src, float* dst, int64_t n);

// Encoders: n elements, a multiple of the block. Not finite values give some finite weight.
void quantize_row_q2_k(const float* src, void* dst, int64_t n);
void quantize_row_q3_k(const float* src, void* dst, int64_t n);
void quantize_row_q4_k(const float* src, void* dst, int64_t n);
void quantize_row_q5_k(const float* src, void* dst, int64_t n);
void quantize_row_q6_k(const float* src, void* dst, int64_t n);

}  // namespace moebius
