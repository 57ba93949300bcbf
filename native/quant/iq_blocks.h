// The IQ formats: super-blocks of 256 elements; groups of 8 or 4 elements are entries of a
// grid (quant/codebooks.h) with explicit signs. `d` is f16 bits. w is the decoded weight.
// u32 fields are kept as bytes or u16 because blocks are only 2-byte aligned.
#pragma once

#include <cstdint>

namespace moebius {

// w = d * (0.5 + s) / 4 * sign * grid. 2.0625 bits per weight. Per group of 32 eight bytes:
// 4 grid indices, then a u32 with four 7-bit sign codes and s in bits 28..31.
struct BlockIQ2_XXS {
  uint16_t d;
  uint8_t groups[8][8];
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

// As IQ2_XXS with 9-bit indices and a scale per 16. 2.3125 bits per weight.
// qs: 9 bits of index, 7 bits of sign code, one per 8 elements; scales: low nibble first.
struct BlockIQ2_XS {
  uint16_t d;
  uint16_t qs[32];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_XS) == 74);

// 10-bit indices (two bits in qh), a byte of signs per 8 elements. 2.5625 bits per weight.
struct BlockIQ2_S {
  uint16_t d;
  uint8_t qs[32];
  uint8_t signs[32];
  uint8_t qh[8];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_S) == 82);

// w = d * (0.5 + s) / 2 * sign * grid. 3.0625 bits per weight. Eight indices (4 elements
// each) per group of 32; scales_signs[g]: a u32 as in IQ2_XXS.
struct BlockIQ3_XXS {
  uint16_t d;
  uint8_t qs[64];
  uint8_t scales_signs[8][4];
};
static_assert(sizeof(BlockIQ3_XXS) == 98);

// w = d * (1 + 2 s) * sign * grid. 3.4375 bits per weight. Bit n of qh[g] is the ninth index
// bit of the n-th 4 elements of group g; scales: one nibble per group of 32, low = even.
struct BlockIQ3_S {
  uint16_t d;
  uint8_t qs[64];
  uint8_t qh[8];
  uint8_t signs[32];
  uint8_t scales[4];
};
static_assert(sizeof(BlockIQ3_S) == 110);

// w = d * (2 s + 1) * (grid +- 0.125). 1.5625 bits per weight. qh[g]: four times 3 index
// bits, s in bits 12..14, bit 15 = minus.
struct BlockIQ1_S {
  uint16_t d;
  uint8_t qs[32];
  uint16_t qh[8];
};
static_assert(sizeof(BlockIQ1_S) == 50);

// As IQ1_S with a scale per 16 and a sign of the shift per 8. 1.75 bits per weight. The top
// nibbles of the four scales make up d; each nibble of qh is 3 index bits and the sign.
struct BlockIQ1_M {
  uint8_t qs[32];
  uint8_t qh[16];
  uint16_t scales[4];
};
static_assert(sizeof(BlockIQ1_M) == 56);

// w = d * (s - 32) * kNonLinear4[q], groups of 32. 4.25 bits per weight. 16 bytes of qs per
// group, low nibbles first; 4 scale bits in scales_l, 2 in scales_h.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

// The f16 bits of an IQ1_M block's scale.
inline uint16_t iq1_m_scale_bits(const BlockIQ1_M& block) {
  return static_cast<uint16_t>((block.scales[0] >> 12) | ((block.scales[1] >> 8) & 0xf0) |
                               ((block.scales[2] >> 4) & 0xf00) | (block.scales[3] & 0xf000));
}

// Scale of group g (0..7) of an IQ4_XS block, -32..31.
inline int iq4_xs_scale(const BlockIQ4_XS& block, int g) {
  return (((block.scales_l[g / 2] >> (4 * (g % 2))) & 15) | (((block.scales_h >> (2 * g)) & 3) << 4)) - 32;
}

void dequantize_row_iq2_xxs(const void* src, float* dst, int64_t n);
void dequantize_row_iq2_xs(const void* src, float* dst, int64_t n);
void dequantize_row_iq2_s(const void* src, float* dst, int64_t n);
void dequantize_row_iq3_xxs(const void* src, float* dst, int64_t n);
void dequantize_row_iq3_s(const void* src, float* dst, int64_t n);
void dequantize_row_iq1_s(const void* src, float* dst, int64_t n);
void dequantize_row_iq1_m(const void* src, float* dst, int64_t n);
void dequantize_row_iq4_xs(const void* src, float* dst, int64_t n);

// Encoders: n elements, a multiple of the block. Not finite values give some finite weight.
void quantize_row_iq2_xxs(const float* src, void* dst, int64_t n);
void quantize_row_iq2_xs(const float* src, void* dst, int64_t n);
void quantize_row_iq2_s(const float* src, void* dst, int64_t n);
void quantize_row_iq3_xxs(const float* src, void* dst, int64_t n);
void quantize_row_iq3_s(const float* src, void* dst, int64_t n);
void quantize_row_iq1_s(const float* src, void* dst, int64_t n);
void quantize_row_iq1_m(const float* src, void* dst, int64_t n);
void quantize_row_iq4_xs(const float* src, void* dst, int64_t n);

}  // namespace moebius
