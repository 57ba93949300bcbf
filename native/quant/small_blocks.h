// Block formats of 32 elements (NVFP4: 64). Byte j of qs holds element j in its low nibble
// and element j + 16 in its high one. `d`, `m` are f16 bits. w is the decoded weight.
#pragma once

#include <cstdint>

namespace moebius {

// w = d * (q - 8). 4.5 bits per weight.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// w = d * q + m. 5 bits per weight.
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// w = d * (q - 16); bit i of qh (little-endian u32) is the fifth bit of element i. 5.5 bits.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// w = d * q + m, fifth bits as Q5_0. 6 bits per weight.
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// w = d * q. 8.5 bits per weight.
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// w = d * kNonLinear4[q]. 4.5 bits per weight.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

// w = 2^(e - 127) * E2M1[q] (OCP Microscaling Formats 1.0). 4.25 bits per weight.
struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

// w = UE4M3(d[g]) * E2M1[q], group g of 16 elements in 8 bytes of qs, low nibbles first.
// 4.5 bits per weight.
struct BlockNVFP4 {
  uint8_t d[4];
  uint8_t qs[32];
};
static_assert(sizeof(BlockNVFP4) == 36);

// Half of 2^(e - 127), to go with kE2m1Doubled. e = 255 gives 2^127: the standard calls it NaN.
float e8m0_half_to_f32(uint8_t e);
// Half of the unsigned E4M3 value, to go with kE2m1Doubled; codes 0 and 0x7f are 0.
float ue4m3_half_to_f32(uint8_t code);

// Decoders: n elements, a multiple of the block.
void dequantize_row_q4_0(const void* src, float* dst, int64_t n);
void dequantize_row_q4_1(const void* src, float* dst, int64_t n);
void dequantize_row_q5_0(const void* src, float* dst, int64_t n);
void dequantize_row_q5_1(const void* src, float* dst, int64_t n);
void dequantize_row_q8_0(const void* src, float* dst, int64_t n);
void dequantize_row_iq4_nl(const void* src, float* dst, int64_t n);
void dequantize_row_mxfp4(const void* src, float* dst, int64_t n);
void dequantize_row_nvfp4(const void* src, float* dst, int64_t n);

// Encoders: n elements, a multiple of the block. Not finite values give some finite weight.
void quantize_row_q4_0(const float* src, void* dst, int64_t n);
void quantize_row_q4_1(const float* src, void* dst, int64_t n);
void quantize_row_q5_0(const float* src, void* dst, int64_t n);
void quantize_row_q5_1(const float* src, void* dst, int64_t n);
void quantize_row_q8_0(const float* src, void* dst, int64_t n);
void quantize_row_iq4_nl(const float* src, void* dst, int64_t n);
void quantize_row_mxfp4(const float* src, void* dst, int64_t n);
void quantize_row_nvfp4(const float* src, void* dst, int64_t n);

}  // namespace moebius
