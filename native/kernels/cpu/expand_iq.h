// Expansion of the IQ formats (layouts in quant/iq_blocks.h, grids in quant/codebooks.h).
#pragma once

#include "kernels/cpu/expand.h"
#include "kernels/cpu/expand_k.h"
#include "kernels/cpu/expand_small.h"
#include "quant/codebooks.h"
#include "quant/iq_blocks.h"

namespace moebius::cpu {
namespace {

// Codes of the signed grids carry this offset so that they are unsigned.
constexpr int kGridOffset = 64;

// Four entries of a grid of 8 values.
inline __m256i grid8(const int8_t (*grid)[8], int a, int b, int c, int d) {
  return _mm256_setr_epi64x(load_as<int64_t>(grid[a]), load_as<int64_t>(grid[b]), load_as<int64_t>(grid[c]),
                            load_as<int64_t>(grid[d]));
}

inline __m256i signed_grid_codes(__m256i magnitudes, uint32_t signs) {
  return _mm256_add_epi8(negate_where(magnitudes, signs), _mm256_set1_epi8(kGridOffset));
}

// Four 7-bit sign codes in bits 0..27 as 32 sign bits: bit 7 of a byte makes the parity even.
inline uint32_t sign_bits(uint32_t codes) {
  const uint32_t spread = _pdep_u32(codes, 0x7f7f7f7f);
  uint32_t parity = spread ^ (spread >> 4);
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return spread | ((parity & 0x01010101) << 7);
}

// Nibbles of 8 bytes in order, as 16 values: low nibble first.
inline void nibble_scales(const uint8_t* packed, __m256& first, __m256& second) {
  const __m128i bytes = load8(packed), mask = _mm_set1_epi8(15);
  const __m128i all = _mm_unpacklo_epi8(_mm_and_si128(bytes, mask), _mm_and_si128(_mm_srli_epi16(bytes, 4), mask));
  first = u8_values(all);
  second = u8_values(_mm_srli_si128(all, 8));
}

// d * (0.5 + s) * part
inline __m256 half_step(__m256 s, float d, float part) {
  return _mm256_mul_ps(_mm256_add_ps(s, _mm256_set1_ps(0.5f)), _mm256_set1_ps(d * part));
}

struct GridFormat : SuperFormat {
  static constexpr int kOffset = kGridOffset;
};

template <>
struct BlockFormat<QuantFormat::kIQ2_XXS> : GridFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ2_XXS;
  static constexpr int kBlockBytes = 66;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_XXS*>(p);
    alignas(32) int32_t steps[8];
    for (int g = 0; g < 8; ++g) {
      const uint8_t* group = block->groups[g];
      const auto word = load_as<uint32_t>(group + 4);
      steps[g] = static_cast<int32_t>(word >> 28);
      out.codes[g] = signed_grid_codes(grid8(books.iq2xxs, group[0], group[1], group[2], group[3]), sign_bits(word));
    }
    out.scales[0] = half_step(_mm256_cvtepi32_ps(load32(steps)), f16_value(&block->d), 0.25f);
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ2_XS> : GridFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ2_XS;
  static constexpr int kBlockBytes = 74;
  static constexpr int kGroup = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_XS*>(p);
    const float d = f16_value(&block->d);
    nibble_scales(block->scales, out.scales[0], out.scales[1]);
    out.scales[0] = half_step(out.scales[0], d, 0.25f);
    out.scales[1] = half_step(out.scales[1], d, 0.25f);
    for (int g = 0; g < 8; ++g) {
      const auto q = load_as<uint64_t>(reinterpret_cast<const uint8_t*>(block->qs) + 8 * g);
      const auto index = [q](int l) { return static_cast<int>((q >> (16 * l)) & 511); };
      const auto signs = static_cast<uint32_t>(_pext_u64(q, 0xfe00fe00fe00fe00ull));
      out.codes[g] = signed_grid_codes(grid8(books.iq2xs, index(0), index(1), index(2), index(3)), sign_bits(signs));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ2_S> : GridFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ2_S;
  static constexpr int kBlockBytes = 82;
  static constexpr int kGroup = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ2_S*>(p);
    const float d = f16_value(&block->d);
    nibble_scales(block->scales, out.scales[0], out.scales[1]);
    out.scales[0] = half_step(out.scales[0], d, 0.25f);
    out.scales[1] = half_step(out.scales[1], d, 0.25f);
    for (int g = 0; g < 8; ++g) {
      const int high = block->qh[g];
      const auto index = [&](int l) { return block->qs[4 * g + l] | (((high >> (2 * l)) & 3) << 8); };
      const auto signs = load_as<uint32_t>(block->signs + 4 * g);
      out.codes[g] = signed_grid_codes(grid8(books.iq2s, index(0), index(1), index(2), index(3)), signs);
    }
  }
};

// Eight entries of a grid of 4 values; index(n) is the n-th.
template <typename Index>
inline __m256i grid4(const int8_t (*grid)[4], const Index& index) {
  const auto entry = [&](int n) { return load_as<int32_t>(grid[index(n)]); };
  return _mm256_setr_epi32(entry(0), entry(1), entry(2), entry(3), entry(4), entry(5), entry(6), entry(7));
}

template <>
struct BlockFormat<QuantFormat::kIQ3_XXS> : GridFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ3_XXS;
  static constexpr int kBlockBytes = 98;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ3_XXS*>(p);
    const __m256i words = load32(block->scales_signs);
    out.scales[0] = half_step(_mm256_cvtepi32_ps(_mm256_srli_epi32(words, 28)), f16_value(&block->d), 0.5f);
    for (int g = 0; g < 8; ++g) {
      const __m256i magnitudes = grid4(books.iq3xxs, [&](int n) { return block->qs[8 * g + n]; });
      out.codes[g] = signed_grid_codes(magnitudes, sign_bits(load_as<uint32_t>(block->scales_signs[g])));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ3_S> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ3_S;
  static constexpr int kBlockBytes = 110;
  static constexpr int kOffset = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ3_S*>(p);
    const __m128i packed = _mm_cvtsi32_si128(load_as<int32_t>(block->scales)), mask = _mm_set1_epi8(15);
    const __m128i s = _mm_unpacklo_epi8(_mm_and_si128(packed, mask), _mm_and_si128(_mm_srli_epi16(packed, 4), mask));
    // d * (1 + 2 s)
    out.scales[0] = half_step(u8_values(s), f16_value(&block->d), 2.0f);
    for (int g = 0; g < 8; ++g) {
      const int high = block->qh[g];
      const __m256i magnitudes =
          grid4(books.iq3s, [&](int n) { return block->qs[8 * g + n] | (((high >> n) & 1) << 8); });
      const __m256i codes = negate_where(magnitudes, load_as<uint32_t>(block->signs + 4 * g));
      out.codes[g] = _mm256_add_epi8(codes, _mm256_set1_epi8(kOffset));
    }
  }
};

// 8 * (grid + 1) + 8 +- 1: eight times (grid +- 0.125), plus 16. Bit l of `minus`: entry l.
inline __m256i shifted_grid_codes(__m256i grid, uint32_t minus) {
  const __m256i eights = _mm256_slli_epi16(_mm256_add_epi8(grid, _mm256_set1_epi8(1)), 3);
  const uint32_t bytes = _pdep_u32(minus, 0x01010101) * 255u;
  return _mm256_sub_epi8(_mm256_add_epi8(eights, _mm256_set1_epi8(9)), bytes_where(bytes, 2));
}

template <>
struct BlockFormat<QuantFormat::kIQ1_S> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ1_S;
  static constexpr int kBlockBytes = 50;
  static constexpr int kOffset = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ1_S*>(p);
    const __m256i words = _mm256_cvtepu16_epi32(load16(block->qh));
    const __m256i s = _mm256_and_si256(_mm256_srli_epi32(words, 12), _mm256_set1_epi32(7));
    // d * (2 s + 1) / 8
    out.scales[0] = half_step(_mm256_cvtepi32_ps(s), f16_value(&block->d), 0.25f);
    for (int g = 0; g < 8; ++g) {
      const uint32_t high = block->qh[g];
      const auto index = [&](int l) { return static_cast<int>(block->qs[4 * g + l] | (((high >> (3 * l)) & 7) << 8)); };
      const __m256i grid = grid8(books.iq1s, index(0), index(1), index(2), index(3));
      out.codes[g] = shifted_grid_codes(grid, (high >> 15) * 15u);
    }
  }
};

// d * (2 s + 1) / 8 with d in the top nibbles of the four words.
inline void iq1_m_scales(const BlockIQ1_M* block, Expanded& out) {
  const auto packed = load_as<uint64_t>(block->scales);
  const auto d_bits = static_cast<uint16_t>(_pext_u64(packed, 0xf000f000f000f000ull));
  const float d = f16_value(&d_bits);
  // Four 3-bit scales in the low 12 bits of each word.
  const uint64_t steps = _pext_u64(packed, 0x0fff0fff0fff0fffull);
  const auto values = [](uint64_t bits) {
    return u8_values(_mm_cvtsi64_si128(static_cast<long long>(_pdep_u64(bits, 0x0707070707070707ull))));
  };
  out.scales[0] = half_step(values(steps), d, 0.25f);
  out.scales[1] = half_step(values(steps >> 24), d, 0.25f);
}

template <>
struct BlockFormat<QuantFormat::kIQ1_M> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ1_M;
  static constexpr int kBlockBytes = 56;
  static constexpr int kGroup = 16;
  static constexpr int kOffset = 16;
  static void expand(const uint8_t* p, const Codebooks& books, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ1_M*>(p);
    iq1_m_scales(block, out);
    for (int g = 0; g < 8; ++g) {
      const auto high = load_as<uint16_t>(block->qh + 2 * g);
      const auto index = [&](int l) { return block->qs[4 * g + l] | (((high >> (4 * l)) & 7) << 8); };
      const __m256i grid = grid8(books.iq1s, index(0), index(1), index(2), index(3));
      out.codes[g] = shifted_grid_codes(grid, _pext_u32(high, 0x8888));
    }
  }
};

template <>
struct BlockFormat<QuantFormat::kIQ4_XS> : SuperFormat {
  static constexpr QuantFormat kFormat = QuantFormat::kIQ4_XS;
  static constexpr int kBlockBytes = 136;
  static constexpr bool kSigned = true;
  static __m256 scales_of(const uint8_t* p) {
    const auto* block = reinterpret_cast<const BlockIQ4_XS*>(p);
    const uint64_t low = _pdep_u64(load_as<uint32_t>(block->scales_l), 0x0f0f0f0f0f0f0f0full);
    const uint64_t high = _pdep_u64(block->scales_h, 0x3030303030303030ull);
    const __m128i steps = _mm_sub_epi8(_mm_cvtsi64_si128(static_cast<long long>(low | high)), _mm_set1_epi8(32));
    return _mm256_mul_ps(i8_values(steps), _mm256_set1_ps(f16_value(&block->d)));
  }
  static void expand(const uint8_t* p, const Codebooks&, Expanded& out) {
    const auto* block = reinterpret_cast<const BlockIQ4_XS*>(p);
    out.scales[0] = scales_of(p);
    for (int g = 0; g < 8; ++g) out.codes[g] = look_up(kNonLinearCodes, nibbles(block->qs + 16 * g));
  }
};

}  // namespace
}  // namespace moebius::cpu
