#include "quant/k_blocks.h"

#include "quant/quant_format.h"

namespace moebius {

namespace {
constexpr int kBlock = 256;
}

void dequantize_row_q2_k(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ2_K*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const BlockQ2_K& block = blocks[b];
    const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
    for (int i = 0; i < kBlock; ++i) {
      const uint8_t scale = block.scales[i / 16];
      const int q = (block.qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
      dst[i] = d * static_cast<float>(scale & 15) * static_cast<float>(q) - dmin * static_cast<float>(scale >> 4);
    }
  }
}

void dequantize_row_q3_k(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ3_K*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const BlockQ3_K& block = blocks[b];
    const float d = f16_to_f32(block.d);
    for (int i = 0; i < kBlock; ++i) {
      const int low = (block.qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
      const int high = (block.hmask[i % 32] >> (i / 32)) & 1;
      const int q = low - (high ? 0 : 4);
      dst[i] = d * static_cast<float>(q3_k_scale(block.scales, i / 16)) * static_cast<float>(q);
    }
  }
}

void dequantize_row_q4_k(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ4_K*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const BlockQ4_K& block = blocks[b];
    const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
    for (int i = 0; i < kBlock; ++i) {
      const ScaleMin group = k_scale_min(block.scales, i / 32);
      const int q = (block.qs[32 * (i / 64) + i % 32] >> (4 * (i % 64 / 32))) & 15;
      dst[i] = d * static_cast<float>(group.scale) * static_cast<float>(q) - dmin * static_cast<float>(group.min);
    }
  }
}

void dequantize_row_q5_k(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ5_K*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const BlockQ5_K& block = blocks[b];
    const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
    for (int i = 0; i < kBlock; ++i) {
      const ScaleMin group = k_scale_min(block.scales, i / 32);
      const int low = (block.qs[32 * (i / 64) + i % 32] >> (4 * (i % 64 / 32))) & 15;
      const int q = low | (((block.qh[i % 32] >> (i / 32)) & 1) << 4);
      dst[i] = d * static_cast<float>(group.scale) * static_cast<float>(q) - dmin * static_cast<float>(group.min);
    }
  }
}

void dequantize_row_q6_k(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockQ6_K*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b, dst += kBlock) {
    const BlockQ6_K& block = blocks[b];
    const float d = f16_to_f32(block.d);
    for (int i = 0; i < kBlock; ++i) {
      const int half = i / 128, run = i % 128 / 32, l = i % 32;
      const int low = (block.ql[64 * half + 32 * (run % 2) + l] >> (4 * (run / 2))) & 15;
      const int high = (block.qh[32 * half + l] >> (2 * run)) & 3;
      const int q = (low | (high << 4)) - 32;
      dst[i] = d * static_cast<float>(block.scales[i / 16]) * static_cast<float>(q);
    }
  }
}

}  // namespace moebius
