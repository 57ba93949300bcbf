// The IQ formats with AVX-512. Every 64-bit lane of a vector belongs to one of the eight
// groups of a block, so that the dots of a group meet in its lane and need one scale at the
// end; which inputs of the group a vector has is what makes its lookup cheap. Short grids are
// looked up in registers, long ones loaded entry by entry.
#pragma once

#include "kernels/cpu/expand_iq.h"
#include "kernels/cpu/grid_tables.h"

namespace moebius::cpu {
namespace {

// Which of the 256 inputs byte 8 g + i of vector v is.
enum class LaneOrder {
  kPairsOf8,  // 32 g + 8 (i / 2) + 2 v + i % 2: pair v of the four entries
  kPairsOf4,  // 32 g + 16 (v / 2) + 4 (i / 2) + 2 (v % 2) + i % 2: a pair of half the eight entries
  kEntries,   // 32 g + 8 v + i: one entry
};

// Specialised for the IQ formats on grids. codes(): unsigned codes with the offset of
// BlockFormat<format>. factors(): the scales of the 32-bit lanes, of vectors 0 and 1 in `low`,
// of 2 and 3 in `high` where they differ (kTwoFactors). Formats of kEntries load their codes
// through indices(), which are stored long before: a narrow load soon after a wide store waits.
template <QuantFormat format>
struct WideFormat {
  static constexpr bool kExists = false;
  static constexpr LaneOrder kOrder = LaneOrder::kPairsOf8;
};

// kStep: what the factors leave out.
template <LaneOrder order>
struct GridEntries {
  static constexpr bool kExists = true;
  static constexpr LaneOrder kOrder = order;
  static constexpr bool kTwoFactors = false;
  static constexpr float kStep = 0.25f;
};

// 16 bytes in every quarter.
inline __m512i in_quarters(__m128i v) { return _mm512_broadcast_i32x4(v); }

// table[indices] for 64 * kPairs entries: two registers a lookup, chosen by the upper bits;
// bits above them are ignored.
template <int kPairs>
inline __m512i look_up_words(const uint16_t* table, __m512i indices) {
  if constexpr (kPairs == 1) {
    return _mm512_permutex2var_epi16(_mm512_load_si512(table), indices, _mm512_load_si512(table + 32));
  } else {
    const __mmask32 upper = _mm512_test_epi16_mask(indices, _mm512_set1_epi16(32 * kPairs));
    return _mm512_mask_blend_epi16(upper, look_up_words<kPairs / 2>(table, indices),
                                   look_up_words<kPairs / 2>(table + 32 * kPairs, indices));
  }
}

// Words shifted right by 1 .. 15: a multiplication, because the shifter is busy with shuffles.
inline __m512i shift_right(__m512i words, int n) { return _mm512_mulhi_epu16(words, _mm512_set1_epi16(static_cast<int16_t>(1 << (16 - n)))); }

// kPairsOf8 of the packed entries in words 4 g + j.
inline void spread8(__m512i words, const GridTables& tables, __m512i* out) {
  const __m512i pairs = _mm512_load_si512(tables.iq2_pairs);
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) out[v] = _mm512_permutexvar_epi16(v == 0 ? words : shift_right(words, 4 * v), pairs);
}

// kPairsOf4 of the packed entries of half the inputs, in words 4 g + n.
inline void spread4(__m512i words, const uint8_t (&table)[64][2], __m512i* out) {
  const __m512i low = _mm512_load_si512(table), high = _mm512_load_si512(table + 32);
  out[0] = _mm512_permutex2var_epi16(low, words, high);
  out[1] = _mm512_permutex2var_epi16(low, shift_right(words, 6), high);
}

// offset + magnitude becomes offset - magnitude where the bit of the byte is set.
template <int kOffset>
inline __m512i with_signs(__m512i codes, __m512i bytes, __m512i bits) {
  return _mm512_mask_sub_epi8(codes, _mm512_test_epi8_mask(bytes, bits), _mm512_set1_epi8(static_cast<char>(2 * kOffset)), codes);
}

// signs: the sign byte of entry j of group g, twice, in word 4 g + j.
template <LaneOrder order, int kOffset>
inline void apply_signs(__m512i signs, __m512i* codes) {
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    if constexpr (order == LaneOrder::kPairsOf8) {
      codes[v] = with_signs<kOffset>(codes[v], signs, _mm512_set1_epi16(static_cast<int16_t>(0x0201 << (2 * v))));
    } else if constexpr (order == LaneOrder::kPairsOf4) {
      // Two entries of four share a sign byte: words 2 h, 2 h, 2 h + 1, 2 h + 1.
      const int half = v / 2 * 0x04040404;
      const __m128i order_of_half = _mm_add_epi8(_mm_setr_epi32(0x01000100, 0x03020302, 0x09080908, 0x0b0a0b0a), _mm_set1_epi32(half));
      const __m512i twice = _mm512_shuffle_epi8(signs, in_quarters(order_of_half));
      codes[v] = with_signs<kOffset>(codes[v], twice, _mm512_set1_epi32((0x20100201) << (2 * (v % 2))));
    } else {
      const int first = 0x02020202 * v, second = first + 0x08080808;
      const __m512i all = _mm512_shuffle_epi8(signs, in_quarters(_mm_setr_epi32(first, first, second, second)));
      codes[v] = with_signs<kOffset>(codes[v], all, _mm512_set1_epi64(static_cast<long long>(0x8040201008040201ull)));
    }
  }
}

// 7-bit sign codes in words; bit 6 is looked at by the caller.
inline __m512i sign_bytes(__m512i codes, __mmask32 seventh, const GridTables& tables) {
  const __m512i six = _mm512_permutex2var_epi16(_mm512_load_si512(tables.sign_bytes), codes, _mm512_load_si512(tables.sign_bytes + 32));
  return _mm512_xor_si512(six, _mm512_maskz_mov_epi16(seventh, _mm512_set1_epi16(static_cast<int16_t>(0xc0c0))));
}

// Four 7-bit codes in the 32 bits at byte `first` of each 64-bit lane, as words.
template <int first>
inline __m512i sign_words(__m512i groups, const GridTables& tables) {
  // The two bytes that hold a code, then its place in them.
  const __m128i lane = _mm_setr_epi8(0, 1, 0, 1, 1, 2, 2, 3, 8, 9, 8, 9, 9, 10, 10, 11);
  const __m512i pairs = _mm512_shuffle_epi8(groups, in_quarters(_mm_add_epi8(lane, _mm_set1_epi8(first))));
  const __m512i codes = _mm512_srlv_epi16(pairs, _mm512_set1_epi64(0x0005000600070000));
  return sign_bytes(codes, _mm512_test_epi16_mask(codes, _mm512_set1_epi16(0x40)), tables);
}

// d * (0.5 + s) for s in the 32-bit lanes.
inline __m512 lane_steps(__m512i s, const void* d) {
  const __m512 half = _mm512_cvtph_ps(_mm256_set1_epi16(load_as<int16_t>(d)));
  return _mm512_mul_ps(_mm512_add_ps(_mm512_cvtepi32_ps(s), _mm512_set1_ps(0.5f)), half);
}

template <>
struct WideFormat<QuantFormat::kIQ2_XXS> : GridEntries<LaneOrder::kPairsOf8> {
  using Block = BlockIQ2_XXS;
  static void codes(const uint8_t* p, const uint16_t*, const GridTables& tables, __m512i* out) {
    const __m512i groups = Simd::load_int(p + offsetof(Block, groups));
    const __m128i index = _mm_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 8, -1, 9, -1, 10, -1, 11, -1);
    spread8(look_up_words<4>(tables.iq2xxs, _mm512_shuffle_epi8(groups, in_quarters(index))), tables, out);
    apply_signs<kOrder, 64>(sign_words<4>(groups, tables), out);
  }
  static void factors(const uint8_t* p, __m512& low, __m512&) {
    const __m512i groups = Simd::load_int(p + offsetof(Block, groups));
    low = lane_steps(_mm512_srli_epi32(_mm512_shuffle_epi32(groups, _MM_PERM_DDBB), 28), p);
  }
};

template <>
struct WideFormat<QuantFormat::kIQ2_XS> : GridEntries<LaneOrder::kPairsOf8> {
  using Block = BlockIQ2_XS;
  static void codes(const uint8_t* p, const uint16_t*, const GridTables& tables, __m512i* out) {
    const __m512i q = Simd::load_int(p + offsetof(Block, qs));
    spread8(look_up_words<8>(tables.iq2xs, q), tables, out);
    apply_signs<kOrder, 64>(sign_bytes(_mm512_srli_epi16(q, 9), _mm512_movepi16_mask(q), tables), out);
  }
  // A lane has half a group here, and the nibbles of the scales are in their order.
  static void factors(const uint8_t* p, __m512& low, __m512&) {
    const __m128i packed = load8(p + offsetof(Block, scales));
    const __m512i twice = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(packed, packed));
    low = lane_steps(_mm512_and_si512(_mm512_mask_srli_epi32(twice, 0xaaaa, twice, 4), _mm512_set1_epi32(15)), p);
  }
};

// Each of 8 words four times.
inline __m512i four_times(__m128i words) {
  const __m512i order = _mm512_set_epi16(7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutexvar_epi16(order, _mm512_castsi128_si512(words));
}

// Entries index[4 g + j] as lane g of out[j].
inline void load_entries(const uint8_t (*grid)[8], const uint16_t* index, __m512i* out) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const auto two = [&](int g) {
      const __m128d first = _mm_load_sd(reinterpret_cast<const double*>(grid[index[4 * g + j]]));
      return _mm_castpd_si128(_mm_loadh_pd(first, reinterpret_cast<const double*>(grid[index[4 * g + 4 + j]])));
    };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(two(0)), two(2), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(two(4)), two(6), 1);
    out[j] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
}

template <>
struct WideFormat<QuantFormat::kIQ2_S> : GridEntries<LaneOrder::kEntries> {
  static constexpr bool kTwoFactors = true;
  using Block = BlockIQ2_S;
  static __m512i indices(const uint8_t* p) {
    const auto* block = reinterpret_cast<const Block*>(p);
    const __m512i high = _mm512_srlv_epi16(four_times(_mm_cvtepu8_epi16(load8(block->qh))), _mm512_set1_epi64(0x0006000400020000));
    const __m512i upper = _mm512_slli_epi16(_mm512_and_si512(high, _mm512_set1_epi16(3)), 8);
    return _mm512_or_si512(_mm512_cvtepu8_epi16(load32(block->qs)), upper);
  }
  static void codes(const uint8_t* p, const uint16_t* index, const GridTables& tables, __m512i* out) {
    const auto* block = reinterpret_cast<const Block*>(p);
    load_entries(tables.iq2s, index, out);
    apply_signs<kOrder, 64>(_mm512_cvtepu8_epi16(load32(block->signs)), out);
  }
  static void factors(const uint8_t* p, __m512& low, __m512& high) {
    const __m128i packed = load8(p + offsetof(Block, scales));
    const __m512i twice = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(packed, packed));
    low = lane_steps(_mm512_and_si512(twice, _mm512_set1_epi32(15)), p);
    high = lane_steps(_mm512_srli_epi32(twice, 4), p);
  }
};

// The first (last) four of the eight index bytes of every group, as words.
inline __m512i half_indices(__m512i bytes, int half) {
  const __m128i first = _mm_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 8, -1, 9, -1, 10, -1, 11, -1);
  return _mm512_shuffle_epi8(bytes, in_quarters(_mm_add_epi8(first, _mm_set1_epi16(static_cast<int16_t>(4 * half)))));
}

template <>
struct WideFormat<QuantFormat::kIQ3_XXS> : GridEntries<LaneOrder::kPairsOf4> {
  using Block = BlockIQ3_XXS;
  static constexpr float kStep = 0.5f;
  static __m512i words(const uint8_t* p) { return _mm512_cvtepu32_epi64(load32(p + offsetof(Block, scales_signs))); }
  static void codes(const uint8_t* p, const uint16_t*, const GridTables& tables, __m512i* out) {
    const __m512i bytes = Simd::load_int(p + offsetof(Block, qs));
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half)
      spread4(look_up_words<4>(tables.iq3xxs, half_indices(bytes, half)), tables.iq3xxs_pairs, out + 2 * half);
    apply_signs<kOrder, 64>(sign_words<0>(words(p), tables), out);
  }
  static void factors(const uint8_t* p, __m512& low, __m512&) {
    low = lane_steps(_mm512_srli_epi32(_mm512_shuffle_epi32(words(p), _MM_PERM_CCAA), 28), p);
  }
};

template <>
struct WideFormat<QuantFormat::kIQ3_S> : GridEntries<LaneOrder::kPairsOf4> {
  using Block = BlockIQ3_S;
  static constexpr float kStep = 2;
  static void codes(const uint8_t* p, const uint16_t*, const GridTables& tables, __m512i* out) {
    const auto* block = reinterpret_cast<const Block*>(p);
    const __m512i bytes = Simd::load_int(block->qs);
    const auto ninth = load_as<uint64_t>(block->qh);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const auto bits = static_cast<__mmask32>(_pext_u64(ninth, 0x0f0f0f0f0f0f0f0full << (4 * half)));
      const __m512i indices = _mm512_or_si512(half_indices(bytes, half), _mm512_maskz_mov_epi16(bits, _mm512_set1_epi16(256)));
      spread4(look_up_words<8>(tables.iq3s, indices), tables.iq3s_pairs, out + 2 * half);
    }
    const __m512i signs = _mm512_cvtepu8_epi16(load32(block->signs));
    apply_signs<kOrder, 16>(_mm512_or_si512(signs, _mm512_slli_epi16(signs, 8)), out);
  }
  static void factors(const uint8_t* p, __m512& low, __m512&) {
    // Nibble g of the four bytes, d * (1 + 2 s).
    const __m512i all = _mm512_set1_epi32(load_as<int32_t>(p + offsetof(Block, scales)));
    const __m512i places = _mm512_setr_epi32(0, 0, 4, 4, 8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 28, 28);
    low = lane_steps(_mm512_and_si512(_mm512_srlv_epi32(all, places), _mm512_set1_epi32(15)), p);
  }
};

template <>
struct WideFormat<QuantFormat::kIQ1_S> : GridEntries<LaneOrder::kEntries> {
  using Block = BlockIQ1_S;
  static __m512i words(const uint8_t* p) { return _mm512_shuffle_epi32(_mm512_cvtepu16_epi64(load16(p + offsetof(Block, qh))), _MM_PERM_CCAA); }
  static __m512i indices(const uint8_t* p) {
    const auto* block = reinterpret_cast<const Block*>(p);
    const __m512i fields = _mm512_srlv_epi16(four_times(load16(block->qh)), _mm512_set1_epi64(0x0009000600030000));
    const __m512i upper = _mm512_slli_epi16(_mm512_and_si512(fields, _mm512_set1_epi16(7)), 8);
    return _mm512_or_si512(_mm512_cvtepu8_epi16(load32(block->qs)), upper);
  }
  static void codes(const uint8_t* p, const uint16_t* index, const GridTables& tables, __m512i* out) {
    load_entries(tables.iq1s, index, out);
    // The codes have the positive shift.
    const __mmask16 minus = _mm512_movepi32_mask(_mm512_slli_epi32(words(p), 16));
    for (int j = 0; j < 4; ++j) out[j] = _mm512_mask_sub_epi32(out[j], minus, out[j], _mm512_set1_epi8(2));
  }
  static void factors(const uint8_t* p, __m512& low, __m512&) {
    low = lane_steps(_mm512_and_si512(_mm512_srli_epi32(words(p), 12), _mm512_set1_epi32(7)), p);
  }
};

template <>
struct WideFormat<QuantFormat::kIQ1_M> : GridEntries<LaneOrder::kEntries> {
  static constexpr bool kTwoFactors = true;
  using Block = BlockIQ1_M;
  static constexpr float kStep = 1;
  static __m512i indices(const uint8_t* p) {
    const auto* block = reinterpret_cast<const Block*>(p);
    const __m128i packed = load16(block->qh), mask = _mm_set1_epi8(7);
    const __m128i low = _mm_and_si128(packed, mask), high = _mm_and_si128(_mm_srli_epi16(packed, 4), mask);
    const __m256i bytes = _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
    return _mm512_or_si512(_mm512_cvtepu8_epi16(load32(block->qs)), _mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 8));
  }
  static void codes(const uint8_t* p, const uint16_t* index, const GridTables& tables, __m512i* out) {
    load_entries(tables.iq1s, index, out);
    const __m512i nibbles = _mm512_cvtepu16_epi64(load16(p + offsetof(Block, qh)));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      // The codes have the positive shift; bit 3 of the entry's nibble makes it negative.
      const auto lanes = _mm512_test_epi64_mask(nibbles, _mm512_set1_epi64(int64_t{8} << (4 * j)));
      out[j] = _mm512_mask_sub_epi64(out[j], lanes, out[j], _mm512_set1_epi8(2));
    }
  }
  static void factors(const uint8_t* p, __m512& low, __m512& high) {
    Expanded scales;
    iq1_m_scales(reinterpret_cast<const Block*>(p), scales);
    const __m512 all = _mm512_insertf32x8(_mm512_castps256_ps512(scales.scales[0]), scales.scales[1], 1);
    const __m512i even = _mm512_setr_epi32(0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14);
    low = _mm512_permutexvar_ps(even, all);
    high = _mm512_permutexvar_ps(_mm512_add_epi32(even, _mm512_set1_epi32(1)), all);
  }
};

// For tiles: pairs of vectors 0 and 1, and of 2 and 3, side by side, so that 32-bit words hold
// consecutive inputs.
inline void join_pairs(__m512i* codes) {
#pragma GCC unroll 2
  for (int v = 0; v < 4; v += 2) {
    const __m512i low = _mm512_unpacklo_epi16(codes[v], codes[v + 1]), high = _mm512_unpackhi_epi16(codes[v], codes[v + 1]);
    codes[v] = low;
    codes[v + 1] = high;
  }
}

// The four inputs (from 4 times the result on) in word `word` of vector `v`, for joined pairs.
constexpr int word_line(LaneOrder order, int v, int word) {
  if (order == LaneOrder::kEntries) return word / 2 * 8 + 2 * v + word % 2;
  const int group = word / 4 * 2 + v % 2, entry = word % 4;
  return 8 * group + (order == LaneOrder::kPairsOf8 ? 2 * entry + v / 2 : 4 * (v / 2) + entry);
}

}  // namespace
}  // namespace moebius::cpu
