// The IQ formats on grids in 256 bits, for the row dots: codes are looked up one vector at a
// time, just before they meet the activations. Vector `part` (0, 1) of sum s is in paired order
// (activations.h): inputs 8 part .. 8 part + 7 of groups 2 s and 2 s + 1 in its low half, those
// 16 further on in its high one.
#pragma once

#include "kernels/cpu/expand_formats.h"

namespace moebius::cpu {
namespace {

// Specialised for these formats. load() once a block, then entries(s, part): unsigned codes of
// at most 64; where kHasSigns, signs(s, part): 1 or -1 for each of them. Where kIndices is not
// 0, find_indices() stores that many for a block, and load() gets them. They are found long
// before: a narrow load soon after a wide store waits.
template <QuantFormat format>
struct GridBlock {
  static constexpr bool kExists = false;
};

inline __m256i load_halves(__m128i low, __m128i high) { return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1); }
inline __m256i in_halves(__m128i v) { return _mm256_broadcastsi128_si256(v); }

// Grids of eight values: entry e (0..3) of group g is index[kStride * g + e].
template <typename Value, typename Index, int kStride>
struct EntriesOf8 {
  const Value (*grid)[8];
  const Index* index;

  __m256i operator()(int s, int part) const {
    const auto two = [&](int e) {
      const Index* at = index + 2 * s * kStride + e;
      const __m128d first = _mm_load_sd(reinterpret_cast<const double*>(grid[at[0]]));
      return _mm_castpd_si128(_mm_loadh_pd(first, reinterpret_cast<const double*>(grid[at[kStride]])));
    };
    return load_halves(two(part), two(2 + part));
  }
};

// Grids of four values: eight indices a group.
template <typename Index>
struct EntriesOf4 {
  const int8_t (*grid)[4];
  const Index* index;

  __m256i operator()(int s, int part) const {
    const auto four = [&](int e) {
      const Index* at = index + 16 * s + 2 * e;
      return _mm_setr_epi32(load_as<int32_t>(grid[at[0]]), load_as<int32_t>(grid[at[1]]), load_as<int32_t>(grid[at[8]]), load_as<int32_t>(grid[at[9]]));
    };
    return load_halves(four(part), four(2 + part));
  }
};

// A byte for each eight inputs: those of the first two in the low half, two bytes a group, and
// of the last two in the high one.
struct EntryBytes {
  __m256i bytes;

  // The bytes of a vector's inputs, eight times each.
  __m256i spread(int s, int part) const {
    const int64_t first = 0x0101010101010101 * (4 * s + part), second = first + 0x0202020202020202;
    return _mm256_shuffle_epi8(bytes, _mm256_setr_epi64x(first, second, first, second));
  }
  // 1, or -1 where the input's bit is set.
  __m256i signs(int s, int part) const {
    const __m256i bits = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
    return _mm256_or_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread(s, part), bits), bits), _mm256_set1_epi8(1));
  }
};

// From words of two groups' first bytes and of their last ones in turn: groups in order, or
// (packed) 0 1 4 5 2 3 6 7.
inline EntryBytes entry_bytes(__m256i words) { return {_mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7))}; }
inline EntryBytes entry_bytes_packed(__m256i words) { return {_mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 2, 6, 1, 5, 3, 7))}; }
// Such words from four bytes a group.
inline __m256i split_entries(__m256i bytes) {
  return _mm256_shuffle_epi8(bytes, in_halves(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15)));
}

// 7-bit sign codes with bit 7, which makes their number of bits even.
inline __m256i with_parity(__m256i codes) {
  const __m128i odd = _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
  const __m256i folded = low_nibbles(_mm256_xor_si256(codes, _mm256_srli_epi16(codes, 4)));
  return _mm256_xor_si256(codes, _mm256_shuffle_epi8(in_halves(odd), folded));
}

// The four 7-bit codes in the bytes from a on and from b on of each half, in 16 bits each; in
// the order of split_entries().
template <int a, int b>
inline __m256i code_words(__m256i v) {
  // The two bytes that hold a code; then its bits to the top and down again.
  const __m128i bytes = _mm_setr_epi8(a, a + 1, a, a + 1, b, b + 1, b, b + 1, a + 1, a + 2, a + 2, a + 3, b + 1, b + 2, b + 2, b + 3);
  const __m128i places = _mm_setr_epi16(1 << 9, 1 << 2, 1 << 9, 1 << 2, 1 << 3, 1 << 4, 1 << 3, 1 << 4);
  return _mm256_srli_epi16(_mm256_mullo_epi16(_mm256_shuffle_epi8(v, in_halves(bytes)), in_halves(places)), 9);
}

// d * part * (0.5 + s); part is a power of two.
inline __m256 scaled_steps(__m256 s, const void* d, float part) {
  const __m256 factor = _mm256_cvtph_ps(_mm_set1_epi16(load_as<int16_t>(d)));
  return _mm256_mul_ps(_mm256_fmadd_ps(s, _mm256_set1_ps(part), _mm256_set1_ps(0.5f * part)), factor);
}
inline Simd::Factors scales_only(__m256 low, __m256 high = _mm256_setzero_ps()) { return {low, high, _mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Simd::Factors nibble_factors(const uint8_t* packed, const void* d) {
  __m256 low, high;
  nibble_scales(packed, low, high);
  return scales_only(scaled_steps(low, d, 0.25f), scaled_steps(high, d, 0.25f));
}

// 16 indices: the bytes at qs, and above them the bits under `mask` of high * places.
inline void store_indices(const uint8_t* qs, __m256i high, __m256i places, int mask, uint16_t* to) {
  const __m256i upper = _mm256_and_si256(_mm256_mullo_epi16(high, places), _mm256_set1_epi16(static_cast<int16_t>(mask)));
  Simd::store_int(to, _mm256_or_si256(_mm256_cvtepu8_epi16(load16(qs)), upper));
}

template <typename EntriesType, int n_indices>
struct SignedGrid {
  static constexpr bool kExists = true, kHasSigns = true, kHasMins = false;
  static constexpr int kIndices = n_indices;
  EntriesType entries;
  EntryBytes sign_bytes;
  Simd::Factors factors;
  __m256i signs(int s, int part) const { return sign_bytes.signs(s, part); }
};

template <>
struct GridBlock<QuantFormat::kIQ2_XXS> : SignedGrid<EntriesOf8<int8_t, uint8_t, 8>, 0> {
  void load(const uint8_t* p, const uint16_t*, const Grids& grids) {
    const auto* block = reinterpret_cast<const BlockIQ2_XXS*>(p);
    entries = {grids.books->iq2xxs, block->groups[0]};
    const __m256i low = load32(block->groups[0]), high = load32(block->groups[4]);
    sign_bytes = entry_bytes_packed(with_parity(_mm256_packus_epi16(code_words<4, 12>(low), code_words<4, 12>(high))));
    const __m256i words = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), 0xdd));
    const __m256i steps = _mm256_srli_epi32(_mm256_permute4x64_epi64(words, 0xd8), 28);
    factors = scales_only(scaled_steps(_mm256_cvtepi32_ps(steps), p, 0.25f));
  }
};

template <>
struct GridBlock<QuantFormat::kIQ2_XS> : SignedGrid<EntriesOf8<int8_t, uint16_t, 4>, 32> {
  static __m256i words(const uint8_t* p, int half) { return load32(p + offsetof(BlockIQ2_XS, qs) + 32 * half); }
  static void find_indices(const uint8_t* p, uint16_t* to) {
    for (int half = 0; half < 2; ++half) Simd::store_int(to + 16 * half, _mm256_and_si256(words(p, half), _mm256_set1_epi16(511)));
  }
  void load(const uint8_t* p, const uint16_t* index, const Grids& grids) {
    entries = {grids.books->iq2xs, index};
    const __m256i codes = _mm256_packus_epi16(_mm256_srli_epi16(words(p, 0), 9), _mm256_srli_epi16(words(p, 1), 9));
    sign_bytes = entry_bytes_packed(split_entries(with_parity(codes)));
    factors = nibble_factors(p + offsetof(BlockIQ2_XS, scales), p);
  }
};

template <>
struct GridBlock<QuantFormat::kIQ2_S> : SignedGrid<EntriesOf8<int8_t, uint16_t, 4>, 32> {
  static void find_indices(const uint8_t* p, uint16_t* to) {
    const auto* block = reinterpret_cast<const BlockIQ2_S*>(p);
    // Bits 2 e and 2 e + 1 of a group's byte come to bit 8.
    const __m256i qh = in_halves(load8(block->qh)), places = _mm256_set1_epi64x(0x0004001000400100);
    for (int half = 0; half < 2; ++half) {
      const auto four_times = [half](int g) { return static_cast<int64_t>(0xff00ff00ff00ff00ull) + 0x0001000100010001 * (4 * half + g); };
      const __m256i bytes = _mm256_setr_epi64x(four_times(0), four_times(1), four_times(2), four_times(3));
      store_indices(block->qs + 16 * half, _mm256_shuffle_epi8(qh, bytes), places, 0x300, to + 16 * half);
    }
  }
  void load(const uint8_t* p, const uint16_t* index, const Grids& grids) {
    const auto* block = reinterpret_cast<const BlockIQ2_S*>(p);
    entries = {grids.books->iq2s, index};
    sign_bytes = entry_bytes(split_entries(load32(block->signs)));
    factors = nibble_factors(block->scales, p);
  }
};

template <>
struct GridBlock<QuantFormat::kIQ3_XXS> : SignedGrid<EntriesOf4<uint8_t>, 0> {
  void load(const uint8_t* p, const uint16_t*, const Grids& grids) {
    const auto* block = reinterpret_cast<const BlockIQ3_XXS*>(p);
    entries = {grids.books->iq3xxs, block->qs};
    const __m256i words = load32(block->scales_signs);
    sign_bytes = entry_bytes(with_parity(_mm256_packus_epi16(code_words<0, 4>(words), code_words<8, 12>(words))));
    factors = scales_only(scaled_steps(_mm256_cvtepi32_ps(_mm256_srli_epi32(words, 28)), p, 0.5f));
  }
};

template <>
struct GridBlock<QuantFormat::kIQ3_S> : SignedGrid<EntriesOf4<uint16_t>, 64> {
  static void find_indices(const uint8_t* p, uint16_t* to) {
    const auto* block = reinterpret_cast<const BlockIQ3_S*>(p);
    // Bit e of a group's byte comes to bit 8.
    const __m256i qh = in_halves(load8(block->qh)), places = in_halves(_mm_setr_epi16(256, 128, 64, 32, 16, 8, 4, 2));
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const auto eight_times = [](int g) { return _mm_set1_epi16(static_cast<int16_t>(g - 256)); };
      const __m256i bytes = load_halves(eight_times(2 * pair), eight_times(2 * pair + 1));
      store_indices(block->qs + 16 * pair, _mm256_shuffle_epi8(qh, bytes), places, 0x100, to + 16 * pair);
    }
  }
  void load(const uint8_t* p, const uint16_t* index, const Grids& grids) {
    const auto* block = reinterpret_cast<const BlockIQ3_S*>(p);
    entries = {grids.books->iq3s, index};
    sign_bytes = entry_bytes(split_entries(load32(block->signs)));
    const __m128i packed = _mm_cvtsi32_si128(load_as<int32_t>(block->scales)), mask = _mm_set1_epi8(15);
    const __m128i steps = _mm_unpacklo_epi8(_mm_and_si128(packed, mask), _mm_and_si128(_mm_srli_epi16(packed, 4), mask));
    factors = scales_only(scaled_steps(u8_values(steps), p, 2.0f));
  }
};

// Entries of IQ1_S and IQ1_M are 8 * grid + 17: the positive shift, with an offset of 16.
struct ShiftedGrid {
  static constexpr bool kExists = true, kHasSigns = false, kHasMins = true;
  static constexpr int kIndices = 32;
  EntriesOf8<uint8_t, uint16_t, 4> shifted;
  Simd::Factors factors;
};

template <>
struct GridBlock<QuantFormat::kIQ1_S> : ShiftedGrid {
  static void find_indices(const uint8_t* p, uint16_t* to) {
    const auto* block = reinterpret_cast<const BlockIQ1_S*>(p);
    // Three bits from bit 0, 3, 6 and, in the upper byte alone, 1 come to bit 8.
    const __m256i places = in_halves(_mm_setr_epi16(1 << 8, 1 << 5, 1 << 2, 1 << 7, 1 << 8, 1 << 5, 1 << 2, 1 << 7));
    const __m256i bytes = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 1, -1, 2, 3, 2, 3, 2, 3, 3, -1, 4, 5, 4, 5, 4, 5, 5, -1, 6, 7, 6, 7, 6, 7, 7, -1);
    for (int half = 0; half < 2; ++half) {
      const __m256i fields = _mm256_shuffle_epi8(in_halves(load8(block->qh + 4 * half)), bytes);
      store_indices(block->qs + 16 * half, fields, places, 0x700, to + 16 * half);
    }
  }
  void load(const uint8_t* p, const uint16_t* index, const Grids& grids) {
    shifted = {grids.tables->iq1s, index};
    const __m256i words = _mm256_cvtepu16_epi32(load16(p + offsetof(BlockIQ1_S, qh)));
    const __m256i steps = _mm256_and_si256(_mm256_srli_epi32(words, 12), _mm256_set1_epi32(7));
    factors = scales_only(scaled_steps(_mm256_cvtepi32_ps(steps), p, 0.25f));
    // Bit 15 makes the shift of a group negative.
    const __m256 minus = _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
    factors.mins_low = _mm256_mul_ps(factors.scales_low, _mm256_blendv_ps(_mm256_set1_ps(16), _mm256_set1_ps(18), minus));
  }
  __m256i entries(int s, int part) const { return shifted(s, part); }
};

template <>
struct GridBlock<QuantFormat::kIQ1_M> : ShiftedGrid {
  EntryBytes twos;  // 2 for entries with the negative shift

  static void find_indices(const uint8_t* p, uint16_t* to) {
    const auto* block = reinterpret_cast<const BlockIQ1_M*>(p);
    // Three bits from bit 0 and from bit 4 of each byte come to bit 8.
    const __m256i order = _mm256_setr_epi8(0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, 4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1);
    for (int half = 0; half < 2; ++half) {
      const __m256i bytes = _mm256_shuffle_epi8(in_halves(load8(block->qh + 8 * half)), order);
      store_indices(block->qs + 16 * half, bytes, _mm256_set1_epi32(0x00100100), 0x700, to + 16 * half);
    }
  }
  void load(const uint8_t* p, const uint16_t* index, const Grids& grids) {
    const auto* block = reinterpret_cast<const BlockIQ1_M*>(p);
    shifted = {grids.tables->iq1s, index};
    const __m256i order = _mm256_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14, 1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15);
    const __m256i bits = _mm256_set1_epi16(static_cast<int16_t>(0x8008));
    const __m256i nibbles = _mm256_shuffle_epi8(in_halves(load16(block->qh)), order);
    twos.bytes = _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(nibbles, bits), bits), _mm256_set1_epi8(2));
    load_factors(load_as<uint64_t>(block->scales));
  }
  __m256i entries(int s, int part) const { return _mm256_sub_epi8(shifted(s, part), twos.spread(s, part)); }

  // d * (2 s + 1) / 8: each 16 bits have a nibble of d at the top, and four s of three bits.
  void load_factors(uint64_t packed) {
    // The product brings the four nibbles side by side.
    const auto d = static_cast<uint16_t>((packed >> 12 & 0x000f000f000f000f) * 0x0001001001001000 >> 48);
    const __m256i words = _mm256_set1_epi64x(static_cast<int64_t>(packed));
    const __m256i order = _mm256_setr_epi32(~0xfeff, ~0xfeff, ~0xfeff, ~0xfeff, ~0xfcfd, ~0xfcfd, ~0xfcfd, ~0xfcfd);
    const auto steps = [&](int first) {
      const __m256i bytes = _mm256_add_epi8(order, _mm256_set1_epi32(0x0202 * first));
      const __m256i shifted_right = _mm256_srlv_epi32(_mm256_shuffle_epi8(words, bytes), _mm256_setr_epi32(0, 3, 6, 9, 0, 3, 6, 9));
      return _mm256_cvtepi32_ps(_mm256_and_si256(shifted_right, _mm256_set1_epi32(7)));
    };
    const __m256 low = scaled_steps(steps(0), &d, 0.25f), high = scaled_steps(steps(2), &d, 0.25f), offset = _mm256_set1_ps(16);
    factors = {low, high, _mm256_mul_ps(low, offset), _mm256_mul_ps(high, offset)};
  }
};

}  // namespace
}  // namespace moebius::cpu
