// Ternary formats: 256 elements of -1, 0 or 1 times one f16 scale.
#pragma once

#include <cstdint>

namespace moebius {

// w = d * (q - 1). 2.0625 bits per weight. Per 32 bytes, shifts 0, 2, 4, 6 give runs of 32.
struct BlockTQ2_0 {
  uint8_t qs[64];
  uint16_t d;
};
static_assert(sizeof(BlockTQ2_0) == 66);

// w = d * (t - 1), five base-3 digits a byte: digit n = ((byte * 3^n mod 256) * 3) >> 8.
// 1.6875 bits per weight. 32 bytes hold elements 0..159 (digit n of byte m is element
// 32 n + m), 16 bytes 160..239 (16 n + m), the 4 bytes of qh 240..255 (4 n + m, 4 digits).
struct BlockTQ1_0 {
  uint8_t qs[48];
  uint8_t qh[4];
  uint16_t d;
};
static_assert(sizeof(BlockTQ1_0) == 54);

void dequantize_row_tq1_0(const void* src, float* dst, int64_t n);
void dequantize_row_tq2_0(const void* src, float* dst, int64_t n);

// Encoders: n elements, a multiple of the block. Not finite values give some finite weight.
void quantize_row_tq1_0(const float* src, void* dst, int64_t n);
void quantize_row_tq2_0(const float* src, void* dst, int64_t n);

}  // namespace moebius
