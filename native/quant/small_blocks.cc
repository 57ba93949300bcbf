#include "quant/small_blocks.h"

#include <bit>

#include "quant/codebooks.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr int kBlock = 32;

int nibble(const uint8_t* qs, int element) {
  return element < 16 ? qs[element] & 15 : qs[element - 16] >> 4;
}

int fifth_bit(const uint8_t* qh, int element) { return ((qh[element / 8] >> (element % 8)) & 1) << 4; }

}  // namespace

void dequantize_row_q4_0(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ4_0*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = f16_to_f32(blocks[b].d);
    for (int i = 0; i < kBlock; ++i) dst[i] = d * static_cast<float>(nibble(blocks[b].qs, i) - 8);
  }
}

void dequantize_row_q4_1(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ4_1*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = f16_to_f32(blocks[b].d), m = f16_to_f32(blocks[b].m);
    for (int i = 0; i < kBlock; ++i) dst[i] = d * static_cast<float>(nibble(blocks[b].qs, i)) + m;
  }
}

void dequantize_row_q5_0(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ5_0*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = f16_to_f32(blocks[b].d);
    for (int i = 0; i < kBlock; ++i) {
      const int q = nibble(blocks[b].qs, i) | fifth_bit(blocks[b].qh, i);
      dst[i] = d * static_cast<float>(q - 16);
    }
  }
}

void dequantize_row_q5_1(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ5_1*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = f16_to_f32(blocks[b].d), m = f16_to_f32(blocks[b].m);
    for (int i = 0; i < kBlock; ++i) {
      const int q = nibble(blocks[b].qs, i) | fifth_bit(blocks[b].qh, i);
      dst[i] = d * static_cast<float>(q) + m;
    }
  }
}

void dequantize_row_q8_0(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ8_0*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = f16_to_f32(blocks[b].d);
    for (int i = 0; i < kBlock; ++i) dst[i] = d * static_cast<float>(blocks[b].qs[i]);
  }
}

void dequantize_row_iq4_nl(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ4_NL*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = f16_to_f32(blocks[b].d);
    for (int i = 0; i < kBlock; ++i) dst[i] = d * static_cast<float>(kNonLinear4[nibble(blocks[b].qs, i)]);
  }
}

float e8m0_half_to_f32(uint8_t e) {
  // 2^-128 and 2^-127 are subnormal in f32.
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  return std::bit_cast<float>(bits);
}

void dequantize_row_mxfp4(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockMXFP4*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = e8m0_half_to_f32(blocks[b].e);
    for (int i = 0; i < kBlock; ++i) dst[i] = d * static_cast<float>(kE2m1Doubled[nibble(blocks[b].qs, i)]);
  }
}

float ue4m3_half_to_f32(uint8_t code) {
  if (code == 0 || code == 0x7f) return 0;
  const int exponent = (code >> 3) & 15;
  const float mantissa = static_cast<float>(code & 7);
  const float half_unit = std::bit_cast<float>(static_cast<uint32_t>((exponent == 0 ? 1 : exponent) - 11 + 127) << 23);
  return (exponent == 0 ? mantissa : 8 + mantissa) * half_unit;
}

void dequantize_row_nvfp4(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockNVFP4*>(src);
  for (int64_t b = 0; b < n / 64; ++b) {
    for (int group = 0; group < 4; ++group, dst += 16) {
      const float d = ue4m3_half_to_f32(blocks[b].d[group]);
      const uint8_t* qs = blocks[b].qs + 8 * group;
      for (int i = 0; i < 8; ++i) {
        dst[i] = d * static_cast<float>(kE2m1Doubled[qs[i] & 15]);
        dst[i + 8] = d * static_cast<float>(kE2m1Doubled[qs[i] >> 4]);
      }
    }
  }
}

}  // namespace moebius
