#include "quant/ternary_blocks.h"

#include <cmath>
#include <cstring>

#include "quant/encode_search.h"
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

// Bytes whose base-3 digits are the ternary values q, first digit first.
void pack_digits(const int* q, int n_bytes, int n_digits, uint8_t* bytes) {
  for (int m = 0; m < n_bytes; ++m) {
    int value = 0;
    for (int digit = 0; digit < 5; ++digit) value = 3 * value + (digit < n_digits ? q[n_bytes * digit + m] : 0);
    // The decoder takes digits from the top of value / 243 as an 8-bit fraction.
    bytes[m] = static_cast<uint8_t>((value * 256 + 242) / 243);
  }
}

// The scale d with q = round(x / d) + 1 in 0..2 that loses least.
float encode_ternary(const float* x, int* q) {
  const float d = f16_to_f32(f32_to_f16(std::fabs(search_scale(x, kBlock, -1, 1))));
  for (int i = 0; i < kBlock; ++i) q[i] = clamped_round(x[i] * reciprocal_or_zero(d), -1, 1) + 1;
  return d;
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

void quantize_row_tq1_0(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockTQ1_0*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    blocks[b].d = f32_to_f16(encode_ternary(src, q));
    pack_digits(q, 32, 5, blocks[b].qs);
    pack_digits(q + 160, 16, 5, blocks[b].qs + 32);
    pack_digits(q + 240, 4, 4, blocks[b].qh);
  }
}

void quantize_row_tq2_0(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockTQ2_0*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    blocks[b].d = f32_to_f16(encode_ternary(src, q));
    std::memset(blocks[b].qs, 0, sizeof blocks[b].qs);
    for (int i = 0; i < kBlock; ++i) {
      uint8_t& byte = blocks[b].qs[32 * (i / 128) + i % 32];
      byte = static_cast<uint8_t>(byte | (q[i] << (2 * (i % 128 / 32))));
    }
  }
}

}  // namespace moebius
