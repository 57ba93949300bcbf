// Encoders of the 32-element formats.
#include <cstring>

#include "quant/codebooks.h"
#include "quant/encode_search.h"
#include "quant/quant_format.h"
#include "quant/small_blocks.h"

namespace moebius {

namespace {

constexpr int kBlock = 32;

void put_nibbles(const int* q, uint8_t* qs) {
  for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>((q[i] & 15) | ((q[i + 16] & 15) << 4));
}

void put_fifth_bits(const int* q, uint8_t* qh) {
  std::memset(qh, 0, 4);
  for (int i = 0; i < kBlock; ++i) qh[i / 8] = static_cast<uint8_t>(qh[i / 8] | ((q[i] >> 4) & 1) << (i % 8));
}

// q of x ~ d * (q - zero) with d chosen so that the extreme value is exactly representable.
float encode_centred(const float* x, int zero, int* q) {
  const float d = signed_extreme(x, kBlock) / static_cast<float>(-zero);
  const float inverse = reciprocal_or_zero(d);
  for (int i = 0; i < kBlock; ++i)
    q[i] = clamped_round(std::floor(x[i] * inverse + static_cast<float>(zero) + 0.5f), 0, 2 * zero - 1);
  return d;
}

ScaleOffset encode_offset(const float* x, int hi, int* q) {
  ScaleOffset fit = search_scale_offset(x, kBlock, hi, /*at_most_zero=*/false);
  fit = {f16_to_f32(f32_to_f16(fit.scale)), f16_to_f32(f32_to_f16(fit.offset))};
  const float inverse = reciprocal_or_zero(fit.scale);
  for (int i = 0; i < kBlock; ++i) q[i] = clamped_round((x[i] - fit.offset) * inverse, 0, hi);
  return fit;
}

int nearest_e2m1(float value) {
  int best = 0;
  for (int code = 1; code < 16; ++code)
    if (std::fabs(value - static_cast<float>(kE2m1Doubled[code])) < std::fabs(value - static_cast<float>(kE2m1Doubled[best])))
      best = code;
  return best;
}

// Squared error of x against half * E2M1 doubled.
float e2m1_error(const float* x, int n, float half) {
  float error = 0;
  const float inverse = reciprocal_or_zero(half);
  for (int i = 0; i < n; ++i) {
    const float difference = half * static_cast<float>(kE2m1Doubled[nearest_e2m1(x[i] * inverse)]) - x[i];
    error += difference * difference;
  }
  return error;
}

}  // namespace

void quantize_row_q8_0(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ8_0*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    const float d = std::fabs(signed_extreme(src, kBlock)) / 127;
    const float inverse = reciprocal_or_zero(d);
    blocks[b].d = f32_to_f16(d);
    for (int i = 0; i < kBlock; ++i)
      blocks[b].qs[i] = static_cast<int8_t>(clamped_round(std::round(src[i] * inverse), -127, 127));
  }
}

void quantize_row_q4_0(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ4_0*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    blocks[b].d = f32_to_f16(encode_centred(src, 8, q));
    put_nibbles(q, blocks[b].qs);
  }
}

void quantize_row_q5_0(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ5_0*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    blocks[b].d = f32_to_f16(encode_centred(src, 16, q));
    put_nibbles(q, blocks[b].qs);
    put_fifth_bits(q, blocks[b].qh);
  }
}

void quantize_row_q4_1(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ4_1*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    const ScaleOffset fit = encode_offset(src, 15, q);
    blocks[b].d = f32_to_f16(fit.scale);
    blocks[b].m = f32_to_f16(fit.offset);
    put_nibbles(q, blocks[b].qs);
  }
}

void quantize_row_q5_1(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockQ5_1*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    const ScaleOffset fit = encode_offset(src, 31, q);
    blocks[b].d = f32_to_f16(fit.scale);
    blocks[b].m = f32_to_f16(fit.offset);
    put_nibbles(q, blocks[b].qs);
    put_fifth_bits(q, blocks[b].qh);
  }
}

void quantize_row_iq4_nl(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ4_NL*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    blocks[b].d = f32_to_f16(search_level_scale(src, kBlock, kNonLinear4, 16));
    const float inverse = reciprocal_or_zero(f16_to_f32(blocks[b].d));
    for (int i = 0; i < kBlock; ++i) q[i] = nearest_level(kNonLinear4, 16, src[i] * inverse);
    put_nibbles(q, blocks[b].qs);
  }
}

void quantize_row_mxfp4(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockMXFP4*>(dst);
  int q[kBlock];
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    const float extreme = std::fabs(signed_extreme(src, kBlock));
    // 6 is the largest E2M1 value: the smallest scale that loses nothing, or one below.
    int e = extreme > 0 ? 127 + static_cast<int>(std::ceil(std::log2(extreme / 6))) : 0;
    e = std::clamp(e, 0, 254);
    if (e > 0 && e2m1_error(src, kBlock, e8m0_half_to_f32(static_cast<uint8_t>(e - 1))) <
                     e2m1_error(src, kBlock, e8m0_half_to_f32(static_cast<uint8_t>(e))))
      --e;
    blocks[b].e = static_cast<uint8_t>(e);
    const float inverse = reciprocal_or_zero(e8m0_half_to_f32(blocks[b].e));
    for (int i = 0; i < kBlock; ++i) q[i] = nearest_e2m1(src[i] * inverse);
    put_nibbles(q, blocks[b].qs);
  }
}

void quantize_row_nvfp4(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockNVFP4*>(dst);
  for (int64_t b = 0; b < n / 64; ++b) {
    for (int group = 0; group < 4; ++group, src += 16) {
      const float ideal_half = std::fabs(signed_extreme(src, 16)) / 12;
      // Codes ascend with their value: the nearest one, then its lower neighbours.
      uint8_t code = 0;
      while (code < 0x7e && ue4m3_half_to_f32(code) < ideal_half) ++code;
      uint8_t best = code;
      for (int lower = 1; lower <= 3 && lower < code; ++lower) {
        const uint8_t candidate = static_cast<uint8_t>(code - lower);
        if (e2m1_error(src, 16, ue4m3_half_to_f32(candidate)) < e2m1_error(src, 16, ue4m3_half_to_f32(best)))
          best = candidate;
      }
      blocks[b].d[group] = best;
      const float inverse = reciprocal_or_zero(ue4m3_half_to_f32(best));
      for (int i = 0; i < 8; ++i)
        blocks[b].qs[8 * group + i] =
            static_cast<uint8_t>(nearest_e2m1(src[i] * inverse) | (nearest_e2m1(src[i + 8] * inverse) << 4));
    }
  }
}

}  // namespace moebius
