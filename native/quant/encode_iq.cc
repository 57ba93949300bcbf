// Encoders of the IQ formats by exhaustive search over the grids: slow, simple, meant for
// test files and small models. No importance matrix.
#include <cstring>

#include "quant/codebooks.h"
#include "quant/encode_search.h"
#include "quant/iq_blocks.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr int kBlock = 256;
constexpr int kMaxGroup = 32;

// One grid with the rules for its signs.
struct Grid {
  const int8_t* entries;
  int n_entries;
  int width;            // 4 or 8 elements per entry
  bool even_signs;      // per 8 elements
  bool has_signs;       // else the entries themselves are signed
  float level_max;

  const int8_t* entry(int index) const { return entries + index * width; }
};

// |x| and the signs taken out of it, per 8 elements.
struct Unsigned {
  float magnitude[kMaxGroup];
  uint8_t signs[kMaxGroup / 8];
};

Unsigned without_signs(const Grid& grid, const float* x, int n) {
  Unsigned out{};
  for (int i = 0; i < n; i += 8) {
    int n_negative = 0, smallest = 0;
    for (int j = 0; j < 8; ++j) {
      const bool negative = grid.has_signs && x[i + j] < 0;
      out.magnitude[i + j] = negative ? -x[i + j] : x[i + j];
      if (negative) out.signs[i / 8] = static_cast<uint8_t>(out.signs[i / 8] | (1 << j));
      n_negative += negative;
      if (std::fabs(x[i + j]) < std::fabs(x[i + smallest])) smallest = j;
    }
    if (grid.even_signs && n_negative % 2 != 0) {
      // The wrong sign costs least where the weight is smallest.
      out.signs[i / 8] = static_cast<uint8_t>(out.signs[i / 8] ^ (1 << smallest));
      out.magnitude[i + smallest] = -out.magnitude[i + smallest];
    }
  }
  return out;
}

// Index of the entry nearest to target / scale, every element shifted by `shift`.
int nearest_entry(const Grid& grid, const float* target, float inverse_scale, float shift) {
  float wanted[8];
  for (int j = 0; j < grid.width; ++j) wanted[j] = target[j] * inverse_scale - shift;
  int best = 0;
  float best_error = -1;
  for (int index = 0; index < grid.n_entries; ++index) {
    float error = 0;
    for (int j = 0; j < grid.width; ++j) {
      const float difference = wanted[j] - static_cast<float>(grid.entry(index)[j]);
      error += difference * difference;
    }
    if (best_error < 0 || error < best_error) {
      best_error = error;
      best = index;
    }
  }
  return best;
}

struct GroupScale {
  float scale = 0;
  float gain = 0;  // how much squared error the fit removes
};

// The scale of a group of n elements; entries are chosen anew for each candidate.
GroupScale search_grid_scale(const Grid& grid, const float* magnitude, int n, float shift) {
  GroupScale best;
  const float extreme = std::fabs(signed_extreme(magnitude, n));
  if (extreme == 0) return best;
  for (const float factor : {0.75f, 0.85f, 0.95f, 1.05f, 1.2f, 1.4f}) {
    const float scale = extreme * factor / grid.level_max;
    float xq = 0, qq = 0;
    for (int i = 0; i < n; i += grid.width) {
      const int8_t* entry = grid.entry(nearest_entry(grid, magnitude + i, 1 / scale, shift));
      for (int j = 0; j < grid.width; ++j) {
        const float q = static_cast<float>(entry[j]) + shift;
        xq += magnitude[i + j] * q;
        qq += q * q;
      }
    }
    if (qq > 0 && xq > 0 && xq * xq / qq > best.gain) best = {xq / qq, xq * xq / qq};
  }
  return best;
}

// Everything an IQ2 or IQ3 super-block stores, before packing.
struct GridCode {
  float d = 0;
  int scale[16];         // 4 bits, one per `group` elements
  int index[64];         // one per grid.width elements
  uint8_t signs[32];     // one per 8 elements
};

// Scales are d * (base + s) * unit, s in 0..15: IQ2 (0.5, 0.25), IQ3_XXS (0.5, 0.5), and
// IQ3_S in the form d * (0.5 + s) * 2.
GridCode encode_grid(const Grid& grid, const float* x, int group, float unit) {
  GridCode code;
  float scales[16];
  Unsigned parts[16];
  float largest = 0;
  const int n_groups = kBlock / group;
  for (int g = 0; g < n_groups; ++g) {
    parts[g] = without_signs(grid, x + group * g, group);
    scales[g] = search_grid_scale(grid, parts[g].magnitude, group, 0).scale;
    largest = std::max(largest, scales[g]);
  }
  code.d = f16_to_f32(f32_to_f16(largest / (15.5f * unit)));
  for (int g = 0; g < n_groups; ++g) {
    const float step = code.d * unit;
    code.scale[g] = clamped_round(scales[g] * reciprocal_or_zero(step) - 0.5f, 0, 15);
    const float inverse = reciprocal_or_zero(step * (0.5f + static_cast<float>(code.scale[g])));
    for (int i = 0; i < group; i += grid.width)
      code.index[(group * g + i) / grid.width] = nearest_entry(grid, parts[g].magnitude + i, inverse, 0);
    std::memcpy(code.signs + group / 8 * g, parts[g].signs, static_cast<size_t>(group / 8));
  }
  return code;
}

void put_u32(uint8_t* bytes, uint32_t word) { std::memcpy(bytes, &word, sizeof word); }

// Four 7-bit sign codes and the scale of one group of 32.
uint32_t scale_sign_word(const GridCode& code, int g) {
  uint32_t word = static_cast<uint32_t>(code.scale[g]) << 28;
  for (int l = 0; l < 4; ++l) word |= static_cast<uint32_t>(code.signs[4 * g + l] & 127) << (7 * l);
  return word;
}

void add_bits(uint8_t& byte, int bits, int shift) { byte = static_cast<uint8_t>(byte | (bits << shift)); }

const Grid& iq1_grid() {
  static const Grid grid{&codebooks().iq1s[0][0], 2048, 8, false, false, 1};
  return grid;
}

struct Iq1Group {
  float scale = 0, shift = kIq1Delta;
};

Iq1Group search_iq1(const float* x, int n) {
  const GroupScale plus = search_grid_scale(iq1_grid(), x, n, kIq1Delta);
  const GroupScale minus = search_grid_scale(iq1_grid(), x, n, -kIq1Delta);
  if (minus.gain > plus.gain) return {minus.scale, -kIq1Delta};
  return {plus.scale, kIq1Delta};
}

// s of d * (2 s + 1), 3 bits.
int iq1_scale_code(float scale, float d) { return clamped_round((scale * reciprocal_or_zero(d) - 1) / 2, 0, 7); }

}  // namespace

void quantize_row_iq2_xxs(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ2_XXS*>(dst);
  const Grid grid{&codebooks().iq2xxs[0][0], 256, 8, true, true, 43};
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    const GridCode code = encode_grid(grid, src, 32, 0.25f);
    blocks[b].d = f32_to_f16(code.d);
    for (int g = 0; g < 8; ++g) {
      for (int l = 0; l < 4; ++l) blocks[b].groups[g][l] = static_cast<uint8_t>(code.index[4 * g + l]);
      put_u32(blocks[b].groups[g] + 4, scale_sign_word(code, g));
    }
  }
}

void quantize_row_iq2_xs(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ2_XS*>(dst);
  const Grid grid{&codebooks().iq2xs[0][0], 512, 8, true, true, 43};
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    const GridCode code = encode_grid(grid, src, 16, 0.25f);
    blocks[b].d = f32_to_f16(code.d);
    for (int l = 0; l < 32; ++l)
      blocks[b].qs[l] = static_cast<uint16_t>(code.index[l] | ((code.signs[l] & 127) << 9));
    for (int g = 0; g < 8; ++g) blocks[b].scales[g] = static_cast<uint8_t>(code.scale[2 * g] | (code.scale[2 * g + 1] << 4));
  }
}

void quantize_row_iq2_s(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ2_S*>(dst);
  const Grid grid{&codebooks().iq2s[0][0], 1024, 8, false, true, 43};
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockIQ2_S& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    const GridCode code = encode_grid(grid, src, 16, 0.25f);
    block.d = f32_to_f16(code.d);
    std::memcpy(block.signs, code.signs, sizeof block.signs);
    for (int l = 0; l < 32; ++l) {
      block.qs[l] = static_cast<uint8_t>(code.index[l]);
      add_bits(block.qh[l / 4], code.index[l] >> 8, 2 * (l % 4));
    }
    for (int g = 0; g < 8; ++g) block.scales[g] = static_cast<uint8_t>(code.scale[2 * g] | (code.scale[2 * g + 1] << 4));
  }
}

void quantize_row_iq3_xxs(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ3_XXS*>(dst);
  const Grid grid{&codebooks().iq3xxs[0][0], 256, 4, true, true, 62};
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    const GridCode code = encode_grid(grid, src, 32, 0.5f);
    blocks[b].d = f32_to_f16(code.d);
    for (int l = 0; l < 64; ++l) blocks[b].qs[l] = static_cast<uint8_t>(code.index[l]);
    for (int g = 0; g < 8; ++g) put_u32(blocks[b].scales_signs[g], scale_sign_word(code, g));
  }
}

void quantize_row_iq3_s(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ3_S*>(dst);
  const Grid grid{&codebooks().iq3s[0][0], 512, 4, false, true, 15};
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockIQ3_S& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    const GridCode code = encode_grid(grid, src, 32, 2.0f);
    block.d = f32_to_f16(code.d);
    std::memcpy(block.signs, code.signs, sizeof block.signs);
    for (int l = 0; l < 64; ++l) {
      block.qs[l] = static_cast<uint8_t>(code.index[l]);
      add_bits(block.qh[l / 8], code.index[l] >> 8, l % 8);
    }
    for (int g = 0; g < 8; ++g) add_bits(block.scales[g / 2], code.scale[g], 4 * (g % 2));
  }
}

void quantize_row_iq1_s(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ1_S*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    Iq1Group groups[8];
    float largest = 0;
    for (int g = 0; g < 8; ++g) {
      groups[g] = search_iq1(src + 32 * g, 32);
      largest = std::max(largest, groups[g].scale);
    }
    blocks[b].d = f32_to_f16(largest / 15);
    const float d = f16_to_f32(blocks[b].d);
    for (int g = 0; g < 8; ++g) {
      const int s = iq1_scale_code(groups[g].scale, d);
      const float inverse = reciprocal_or_zero(d * static_cast<float>(2 * s + 1));
      int qh = (s << 12) | (groups[g].shift < 0 ? 0x8000 : 0);
      for (int l = 0; l < 4; ++l) {
        const int index = nearest_entry(iq1_grid(), src + 32 * g + 8 * l, inverse, groups[g].shift);
        blocks[b].qs[4 * g + l] = static_cast<uint8_t>(index);
        qh |= (index >> 8) << (3 * l);
      }
      blocks[b].qh[g] = static_cast<uint16_t>(qh);
    }
  }
}

void quantize_row_iq1_m(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ1_M*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockIQ1_M& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    Iq1Group groups[16];
    float largest = 0;
    for (int g = 0; g < 16; ++g) {
      groups[g] = search_iq1(src + 16 * g, 16);
      largest = std::max(largest, groups[g].scale);
    }
    const uint16_t d_bits = f32_to_f16(largest / 15);
    const float d = f16_to_f32(d_bits);
    for (int part = 0; part < 4; ++part)
      block.scales[part] = static_cast<uint16_t>(((d_bits >> (4 * part)) & 15) << 12);
    for (int g = 0; g < 16; ++g) {
      const int s = iq1_scale_code(groups[g].scale, d);
      block.scales[g / 4] = static_cast<uint16_t>(block.scales[g / 4] | (s << (3 * (g % 4))));
      const float inverse = reciprocal_or_zero(d * static_cast<float>(2 * s + 1));
      for (int l = 2 * g; l < 2 * g + 2; ++l) {
        const int index = nearest_entry(iq1_grid(), src + 8 * l, inverse, groups[g].shift);
        block.qs[l] = static_cast<uint8_t>(index);
        add_bits(block.qh[l / 2], (index >> 8) | (groups[g].shift < 0 ? 8 : 0), 4 * (l % 2));
      }
    }
  }
}

void quantize_row_iq4_xs(const float* src, void* dst, int64_t n) {
  auto* blocks = static_cast<BlockIQ4_XS*>(dst);
  for (int64_t b = 0; b < n / kBlock; ++b, src += kBlock) {
    BlockIQ4_XS& block = blocks[b];
    std::memset(&block, 0, sizeof block);
    float scales[8];
    for (int g = 0; g < 8; ++g) scales[g] = search_level_scale(src + 32 * g, 32, kNonLinear4, 16);
    block.d = f32_to_f16(signed_extreme(scales, 8) / -32);
    const float d = f16_to_f32(block.d);
    for (int g = 0; g < 8; ++g) {
      const int s = clamped_round(scales[g] * reciprocal_or_zero(d), -32, 31);
      add_bits(block.scales_l[g / 2], (s + 32) & 15, 4 * (g % 2));
      block.scales_h = static_cast<uint16_t>(block.scales_h | (((s + 32) >> 4) << (2 * g)));
      const float inverse = reciprocal_or_zero(d * static_cast<float>(s));
      for (int i = 0; i < 32; ++i)
        add_bits(block.qs[16 * g + i % 16], nearest_level(kNonLinear4, 16, src[32 * g + i] * inverse), 4 * (i / 16));
    }
  }
}

}  // namespace moebius
