#include "quant/ternary_blocks.h"

#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr int kBlock = 256;

// Digit n of each of the bytes, run after run.
float* put_digits(const uint8_t* bytes, int n_bytes, int n_digits, float d, float* dst) {
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  for (int digit = 0; digit < n_digits; ++digit)
    for (int m = 0; m < n_bytes; ++m) {
      const uint8_t shifted = static_cast<uint8_t>(bytes[m] * kPowers[digit]);
      *dst++ = d * static_cast<float>(((shifted * 3) >> 8) - 1);
    }
  return dst;
}

}  // namespace

void dequantize_row_tq1_0(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockTQ1_0*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const float d = f16_to_f32(blocks[b].d);
    dst = put_digits(blocks[b].qs, 32, 5, d, dst);
    dst = put_digits(blocks[b].qs + 32, 16, 5, d, dst);
    dst = put_digits(blocks[b].qh, 4, 4, d, dst);
  }
}

void dequantize_row_tq2_0(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockTQ2_0*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const float d = f16_to_f32(blocks[b].d);
    for (int i = 0; i < kBlock; ++i) {
      const int q = (blocks[b].qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
      dst[i] = d * static_cast<float>(q - 1);
    }
  }
}

}  // namespace moebius
