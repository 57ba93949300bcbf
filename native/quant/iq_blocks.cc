#include "quant/iq_blocks.h"

#include <cstring>

#include "quant/codebooks.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr int kBlock = 256;

uint32_t load_u32(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// dst[j] = scale * grid[j] * sign j, n values; bit j of signs set = negative.
void put_signed(const int8_t* grid, int n, uint32_t signs, float scale, float* dst) {
  for (int j = 0; j < n; ++j) dst[j] = scale * static_cast<float>(grid[j]) * ((signs >> j) & 1 ? -1.0f : 1.0f);
}

void put_shifted(const int8_t* grid, float shift, float scale, float* dst) {
  for (int j = 0; j < 8; ++j) dst[j] = scale * (static_cast<float>(grid[j]) + shift);
}

// The scale of IQ2 formats; IQ3_XXS has `part` 0.5.
float half_step_scale(float d, uint32_t s, float part) { return d * (0.5f + static_cast<float>(s)) * part; }

}  // namespace

void dequantize_row_iq2_xxs(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ2_XXS*>(src);
  const Codebooks& books = codebooks();
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const float d = f16_to_f32(blocks[b].d);
    for (const uint8_t (&group)[8] : blocks[b].groups) {
      const uint32_t word = load_u32(group + 4);
      const float scale = half_step_scale(d, word >> 28, 0.25f);
      for (int l = 0; l < 4; ++l, dst += 8)
        put_signed(books.iq2xxs[group[l]], 8, iq_sign_byte(word >> (7 * l)), scale, dst);
    }
  }
}

void dequantize_row_iq2_xs(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ2_XS*>(src);
  const Codebooks& books = codebooks();
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const float d = f16_to_f32(blocks[b].d);
    for (int l = 0; l < 32; ++l, dst += 8) {
      const uint32_t s = (blocks[b].scales[l / 4] >> (4 * (l % 4 / 2))) & 15;
      const uint16_t q = blocks[b].qs[l];
      put_signed(books.iq2xs[q & 511], 8, iq_sign_byte(q >> 9), half_step_scale(d, s, 0.25f), dst);
    }
  }
}

void dequantize_row_iq2_s(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ2_S*>(src);
  const Codebooks& books = codebooks();
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const BlockIQ2_S& block = blocks[b];
    const float d = f16_to_f32(block.d);
    for (int l = 0; l < 32; ++l, dst += 8) {
      const uint32_t s = (block.scales[l / 4] >> (4 * (l % 4 / 2))) & 15;
      const int index = block.qs[l] | (((block.qh[l / 4] >> (2 * (l % 4))) & 3) << 8);
      put_signed(books.iq2s[index], 8, block.signs[l], half_step_scale(d, s, 0.25f), dst);
    }
  }
}

void dequantize_row_iq3_xxs(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ3_XXS*>(src);
  const Codebooks& books = codebooks();
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const float d = f16_to_f32(blocks[b].d);
    for (int l = 0; l < 32; ++l, dst += 8) {
      const uint32_t word = load_u32(blocks[b].scales_signs[l / 4]);
      const float scale = half_step_scale(d, word >> 28, 0.5f);
      const uint32_t signs = iq_sign_byte(word >> (7 * (l % 4)));
      put_signed(books.iq3xxs[blocks[b].qs[2 * l]], 4, signs, scale, dst);
      put_signed(books.iq3xxs[blocks[b].qs[2 * l + 1]], 4, signs >> 4, scale, dst + 4);
    }
  }
}

void dequantize_row_iq3_s(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ3_S*>(src);
  const Codebooks& books = codebooks();
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const BlockIQ3_S& block = blocks[b];
    const float d = f16_to_f32(block.d);
    for (int l = 0; l < 64; ++l, dst += 4) {
      const int s = (block.scales[l / 16] >> (4 * (l % 16 / 8))) & 15;
      const int index = block.qs[l] | (((block.qh[l / 8] >> (l % 8)) & 1) << 8);
      const uint32_t signs = block.signs[l / 2] >> (4 * (l % 2));
      put_signed(books.iq3s[index], 4, signs, d * static_cast<float>(1 + 2 * s), dst);
    }
  }
}

void dequantize_row_iq1_s(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ1_S*>(src);
  const Codebooks& books = codebooks();
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const float d = f16_to_f32(blocks[b].d);
    for (int l = 0; l < 32; ++l, dst += 8) {
      const uint16_t qh = blocks[b].qh[l / 4];
      const float scale = d * static_cast<float>(2 * ((qh >> 12) & 7) + 1);
      const int index = blocks[b].qs[l] | (((qh >> (3 * (l % 4))) & 7) << 8);
      put_shifted(books.iq1s[index], qh & 0x8000 ? -kIq1Delta : kIq1Delta, scale, dst);
    }
  }
}

void dequantize_row_iq1_m(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ1_M*>(src);
  const Codebooks& books = codebooks();
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const BlockIQ1_M& block = blocks[b];
    const float d = f16_to_f32(iq1_m_scale_bits(block));
    for (int l = 0; l < 32; ++l, dst += 8) {
      const int s = (block.scales[l / 8] >> (3 * (l % 8 / 2))) & 7;
      const int high = (block.qh[l / 2] >> (4 * (l % 2))) & 15;
      const int index = block.qs[l] | ((high & 7) << 8);
      put_shifted(books.iq1s[index], high & 8 ? -kIq1Delta : kIq1Delta, d * static_cast<float>(2 * s + 1), dst);
    }
  }
}

void dequantize_row_iq4_xs(const void* src, float* dst, int64_t n) {
  const auto* blocks = static_cast<const BlockIQ4_XS*>(src);
  for (int64_t b = 0; b < n / kBlock; ++b) {
    const float d = f16_to_f32(blocks[b].d);
    for (int g = 0; g < 8; ++g, dst += 32) {
      const float scale = d * static_cast<float>(iq4_xs_scale(blocks[b], g));
      const uint8_t* qs = blocks[b].qs + 16 * g;
      for (int i = 0; i < 16; ++i) {
        dst[i] = scale * static_cast<float>(kNonLinear4[qs[i] & 15]);
        dst[i + 16] = scale * static_cast<float>(kNonLinear4[qs[i] >> 4]);
      }
    }
  }
}

}  // namespace moebius
