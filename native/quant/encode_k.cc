// Encoders of the K formats: a search per group, then the groups' scales are rounded to the
// super-block's and the weights rounded once more against the scales as stored.
#include <cstring>

#include "quant/encode_search.h"
#include "quant/k_blocks.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr int kBlock = 256;

// Scales and offsets of all groups, rounded to integers of at most `levels`.
template <int n_groups>
struct GroupFit {
  float d = 0, dmin = 0;  // as stored in f16
  int scale[n_groups], min[n_groups];

  GroupFit(const float* x, int hi, int levels) {
    constexpr int kGroup = kBlock / n_groups;
    ScaleOffset fits[n_groups];
    float largest_scale = 0, largest_min = 0;
    for (int g = 0; g < n_groups; ++g) {
      fits[g] = search_scale_offset(x + kGroup * g, kGroup, hi, /*at_most_zero=*/true);
      largest_scale = std::max(largest_scale, fits[g].scale);
      largest_min = std::max(largest_min, -fits[g].offset);
    }
    d = f16_to_f32(f32_to_f16(largest_scale / static_cast<float>(levels)));
    dmin = f16_to_f32(f32_to_f16(largest_min / static_cast<float>(levels)));
    for (int g = 0; g < n_groups; ++g) {
      scale[g] = clamped_round(fits[g].scale * reciprocal_or_zero(d), 0, levels);
      min[g] = clamped_round(-fits[g].offset * reciprocal_or_zero(dmin), 0, levels);
    }
  }

  int quantum(float x, int g, int hi) const {
    const float inverse = reciprocal_or_zero(d * static_cast<float>(scale[g]));
    return clamped_round((x + dmin * static_cast<float>(min[g])) * inverse, 0, hi);
  }
};

void put_scale_min(const int* scale, const int* min, uint8_t* packed) {
  for (int g = 0; g < 4; ++g) {
    packed[g] = static_cast<uint8_t>(scale[g] | ((scale[g + 4] >> 4) << 6));
    packed[g + 4] = static_cast<uint8_t>(min[g] | ((min[g + 4] >> 4) << 6));
    packed[g + 8] = static_cast<uint8_t>((scale[g + 4] & 15) | ((min[g + 4] & 15) << 4));
  }
}

// Signed scales of 16 groups in [lo, hi] against one d.
struct SignedFit {
  float d = 0;
  int scale[16];

  SignedFit(const float* x, int q_lo, int q_hi, int lo, int hi) {
    float scales[16];
    for (int g = 0; g < 16; ++g) scales[g] = search_scale(x + 16 * g, 16, q_lo, q_hi);
    d = f16_to_f32(f32_to_f16(signed_extreme(scales, 16) / static_cast<float>(lo)));
    for (int g = 0; g < 16; ++g) scale[g] = clamped_round(scales[g] * reciprocal_or_zero(d), lo, hi);
  }

  int quantum(float x, int g, int q_lo, int q_hi) const {
    return clamped_round(x * reciprocal_or_zero(d * static_cast<float>(scale[g])), q_lo, q_hi);
  }
};

void add_bits(uint8_t& byte, int bits, int shift) { byte = static_cast<uint8_t>(byte | (bits << shift)); }

}  // namespace

void quantize_row_q2_k(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ2_K*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockQ2_K& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    const GroupFit<16> fit(src, 3, 15);
    block.d = f32_to_f16(fit.d);
    block.dmin = f32_to_f16(fit.dmin);
    for (int g = 0; g < 16; ++g) block.scales[g] = static_cast<uint8_t>(fit.scale[g] | (fit.min[g] << 4));
    for (int i = 0; i < kBlock; ++i)
      add_bits(block.qs[32 * (i / 128) + i % 32], fit.quantum(src[i], i / 16, 3), 2 * (i % 128 / 32));
  }
}

void quantize_row_q3_k(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ3_K*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockQ3_K& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    const SignedFit fit(src, -4, 3, -32, 31);
    block.d = f32_to_f16(fit.d);
    for (int g = 0; g < 16; ++g) {
      const int scale = fit.scale[g] + 32;
      add_bits(block.scales[g % 8], scale & 15, 4 * (g / 8));
      add_bits(block.scales[8 + g % 4], scale >> 4, 2 * (g / 4));
    }
    for (int i = 0; i < kBlock; ++i) {
      const int q = fit.quantum(src[i], i / 16, -4, 3) + 4;
      add_bits(block.qs[32 * (i / 128) + i % 32], q & 3, 2 * (i % 128 / 32));
      add_bits(block.hmask[i % 32], q >> 2, i / 32);
    }
  }
}

void quantize_row_q4_k(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ4_K*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockQ4_K& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    const GroupFit<8> fit(src, 15, 63);
    block.d = f32_to_f16(fit.d);
    block.dmin = f32_to_f16(fit.dmin);
    put_scale_min(fit.scale, fit.min, block.scales);
    for (int i = 0; i < kBlock; ++i)
      add_bits(block.qs[32 * (i / 64) + i % 32], fit.quantum(src[i], i / 32, 15), 4 * (i % 64 / 32));
  }
}

void quantize_row_q5_k(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ5_K*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockQ5_K& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    const GroupFit<8> fit(src, 31, 63);
    block.d = f32_to_f16(fit.d);
    block.dmin = f32_to_f16(fit.dmin);
    put_scale_min(fit.scale, fit.min, block.scales);
    for (int i = 0; i < kBlock; ++i) {
      const int q = fit.quantum(src[i], i / 32, 31);
      add_bits(block.qs[32 * (i / 64) + i % 32], q & 15, 4 * (i % 64 / 32));
      add_bits(block.qh[i % 32], q >> 4, i / 32);
    }
  }
}

void quantize_row_q6_k(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ6_K*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockQ6_K& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    const SignedFit fit(src, -32, 31, -128, 127);
    block.d = f32_to_f16(fit.d);
    for (int g = 0; g < 16; ++g) block.scales[g] = static_cast<int8_t>(fit.scale[g]);
    for (int i = 0; i < kBlock; ++i) {
      const int half = i / 128, run = i % 128 / 32, l = i % 32;
      const int q = fit.quantum(src[i], i / 16, -32, 31) + 32;
      add_bits(block.ql[64 * half + 32 * (run % 2) + l], q & 15, 4 * (run / 2));
      add_bits(block.qh[32 * half + l], q >> 4, 2 * run);
    }
  }
}

}  // namespace moebius
