// Expansion of whole tiles side by side: the packed words of kLanes rows are transposed
// first and unpacked afterwards, so that few bytes move between lanes. The lines are those
// of TileBlock: line i holds inputs 4 i .. 4 i + 3 of every row.
#pragma once

#include <type_traits>

#include "kernels/cpu/expand_formats.h"
#include "kernels/cpu/tiles.h"

namespace moebius::cpu {
namespace {

// What the tiles' unsigned codes carry in common; without VNNI signed codes stay signed.
constexpr int kTileOffset = Simd::kSignedOffset != 0 ? 128 : 64;

using Rows = const uint8_t* const*;  // kLanes pointers to blocks of 256 inputs

// Specialised for the formats that unpack lane by lane: lines(rows, out) writes 64 lines.
// factors(rows, scales, mins) does the same for them where kHasFactors. kFolded: the scales of
// the groups of 16 are part of the codes, and a scale per 32 is left.
template <QuantFormat format>
struct LaneFormat {
  static constexpr bool kExists = false;
  static constexpr bool kFolded = false;
};

template <typename Format>
inline void put_line(uint8_t* lines, int line, Simd::I codes) {
  if constexpr (Format::kSigned) {
    codes = Simd::signed_lines(codes);
  } else if constexpr (!Format::kHasMin) {
    codes = Simd::add_bytes(codes, kTileOffset - Format::kOffset);
  }
  Simd::store_int(lines + line * Simd::kLanes * 4, codes);
}

// Bits [shift, shift + count) of every byte.
inline Simd::I byte_bits(Simd::I words, int shift, int count) {
  return Simd::and_int(shift == 0 ? words : Simd::words_right(words, shift), Simd::splat_byte((1 << count) - 1));
}
// Bits [shift, shift + count) of every byte, moved to bit `to`.
inline Simd::I moved_bits(Simd::I words, int shift, int count, int to) {
  const Simd::I moved = shift == to ? words : shift > to ? Simd::words_right(words, shift - to) : Simd::words_left(words, to - shift);
  return Simd::and_int(moved, Simd::splat_byte(((1 << count) - 1) << to));
}

// Formats that expand row by row: the codes of a row in an order of words that suits the
// format, and the line that 32-bit word `word` of vector `i` belongs to.
template <typename Format>
inline void expand_for_lines(const uint8_t* p, [[maybe_unused]] const uint16_t* index, const Grids& grids, Simd::I* codes) {
#ifdef __AVX512BW__
  using Wide = WideFormat<Format::kFormat>;
  if constexpr (Wide::kExists) {
    Wide::codes(p, index, *grids.tables, codes);
    if constexpr (Wide::kOrder != LaneOrder::kEntries) join_pairs(codes);
    return;
  }
#endif
  Expanded unused;
  expand_codes<Format>(p, grids, codes, unused);
}
// Entry indices of formats that need them ahead.
template <typename Format>
inline void store_indices([[maybe_unused]] const uint8_t* p, [[maybe_unused]] uint16_t* index) {
#ifdef __AVX512BW__
  using Wide = WideFormat<Format::kFormat>;
  if constexpr (Wide::kOrder == LaneOrder::kEntries) _mm512_store_si512(index, Wide::indices(p));
#endif
}
template <typename Format>
constexpr int line_of(int i, int word) {
#ifdef __AVX512BW__
  using Wide = WideFormat<Format::kFormat>;
  if constexpr (Wide::kExists) return word_line(Wide::kOrder, i, word);
#endif
  return i * Simd::kLanes + word;
}

template <QuantFormat format>
struct KLines {
  using Format = BlockFormat<format>;
  static constexpr bool kExists = true;
  static constexpr bool kFolded = false;
  static void lines(Rows rows, uint8_t* out) {
    Simd::I high[8], packed[4];
    if constexpr (format == QuantFormat::kQ5_K) {
      Simd::gather_words(rows, offsetof(BlockQ5_K, qh), high);
      Simd::gather_words(rows, offsetof(BlockQ5_K, qh) + 16, high + 4);
    }
    constexpr int kCodes = format == QuantFormat::kQ5_K ? offsetof(BlockQ5_K, qs) : offsetof(BlockQ4_K, qs);
#pragma GCC unroll 8
    for (int part = 0; part < 8; ++part) {
      Simd::gather_words(rows, kCodes + 16 * part, packed);
      const int chunk = part / 2, first = 16 * chunk + part % 2 * 4;
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        Simd::I low = byte_bits(packed[k], 0, 4), upper = byte_bits(packed[k], 4, 4);
        if constexpr (format == QuantFormat::kQ5_K) {
          const Simd::I bits = high[part % 2 * 4 + k];
          low = Simd::or_int(low, moved_bits(bits, 2 * chunk, 1, 4));
          upper = Simd::or_int(upper, moved_bits(bits, 2 * chunk + 1, 1, 4));
        }
        put_line<Format>(out, first + k, low);
        put_line<Format>(out, first + 8 + k, upper);
      }
    }
  }

  // d, dmin and the twelve bytes of scales are the first four words.
  static constexpr bool kHasFactors = true;
  static void factors(Rows rows, float* scales, float* mins) {
    Simd::I head[4];
    Simd::gather_words(rows, 0, head);
    const Simd::F d = Simd::half_floats(head[0]), dmin = Simd::half_floats(Simd::words_right(head[0], 16));
    const Simd::I a = head[1], b = head[2], c = head[3];
    const Simd::I words[4] = {byte_bits(a, 0, 6), Simd::or_int(byte_bits(c, 0, 4), moved_bits(a, 6, 2, 4)),
                              byte_bits(b, 0, 6), Simd::or_int(byte_bits(c, 4, 4), moved_bits(b, 6, 2, 4))};
    const Simd::I byte = Simd::splat_word(255);
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) {
      const auto at = [&](Simd::I v) { return Simd::to_float(Simd::and_int(Simd::words_right(v, 8 * (g % 4)), byte)); };
      Simd::store(scales + g * Simd::kLanes, Simd::mul(at(words[g / 4]), d));
      Simd::store(mins + g * Simd::kLanes, Simd::mul(at(words[2 + g / 4]), dmin));
    }
  }
};

template <>
struct LaneFormat<QuantFormat::kQ4_K> : KLines<QuantFormat::kQ4_K> {};
template <>
struct LaneFormat<QuantFormat::kQ5_K> : KLines<QuantFormat::kQ5_K> {};

// Factors through the expansion of single rows, whose codes nobody asks for.
struct RowFactors {
  static constexpr bool kExists = true;
  static constexpr bool kFolded = false;
  static constexpr bool kHasFactors = false;
};

template <>
struct LaneFormat<QuantFormat::kQ6_K> : RowFactors {
  static void lines(Rows rows, uint8_t* out) {
    using Format = BlockFormat<QuantFormat::kQ6_K>;
#pragma GCC unroll 4
    for (int part = 0; part < 4; ++part) {
      const int half = part / 2, at = 16 * (part % 2), first = 32 * half + at / 4;
      Simd::I a[4], b[4], high[4];
      Simd::gather_words(rows, offsetof(BlockQ6_K, ql) + 64 * half + at, a);
      Simd::gather_words(rows, offsetof(BlockQ6_K, ql) + 64 * half + 32 + at, b);
      Simd::gather_words(rows, offsetof(BlockQ6_K, qh) + 32 * half + at, high);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        put_line<Format>(out, first + k, Simd::or_int(byte_bits(a[k], 0, 4), moved_bits(high[k], 0, 2, 4)));
        put_line<Format>(out, first + 8 + k, Simd::or_int(byte_bits(b[k], 0, 4), moved_bits(high[k], 2, 2, 4)));
        put_line<Format>(out, first + 16 + k, Simd::or_int(byte_bits(a[k], 4, 4), moved_bits(high[k], 4, 2, 4)));
        put_line<Format>(out, first + 24 + k, Simd::or_int(byte_bits(b[k], 4, 4), moved_bits(high[k], 6, 2, 4)));
      }
    }
  }
};

// Q2_K, Q3_K and TQ2_0: per half of 128 inputs 32 bytes, four runs of two bits.
template <QuantFormat format, int kCodes>
struct TwoBitLines : RowFactors {
  static void lines(Rows rows, uint8_t* out) {
    using Format = BlockFormat<format>;
#pragma GCC unroll 4
    for (int part = 0; part < 4; ++part) {
      const int half = part / 2, at = 16 * (part % 2);
      Simd::I packed[4], mask[4];
      Simd::gather_words(rows, kCodes + 32 * half + at, packed);
      if constexpr (format == QuantFormat::kQ3_K) Simd::gather_words(rows, offsetof(BlockQ3_K, hmask) + at, mask);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        const int run = i / 4, k = i % 4;
        Simd::I codes = byte_bits(packed[k], 2 * run, 2);
        if constexpr (format == QuantFormat::kQ3_K) codes = Simd::or_int(codes, moved_bits(mask[k], 4 * half + run, 1, 2));
        put_line<Format>(out, 32 * half + 8 * run + at / 4 + k, codes);
      }
    }
  }
};
// Byte `index` of each word, in both halves of the word.
inline Simd::I byte_in_halves(Simd::I words, int index, int mask) {
  const Simd::I byte = Simd::and_int(Simd::words_right(words, 8 * index), Simd::splat_word(mask));
  return Simd::or_int(byte, Simd::words_left(byte, 16));
}

struct Folded {
  static constexpr bool kExists = true;
  static constexpr bool kFolded = true;
  static constexpr bool kHasFactors = true;
};

// Q2_K with the steps of its groups multiplied in: codes of at most 45.
struct FoldedQ2K : Folded {
  static void lines(Rows rows, uint8_t* out) {
    Simd::I steps[4], packed[4];
    Simd::gather_words(rows, offsetof(BlockQ2_K, scales), steps);
#pragma GCC unroll 4
    for (int part = 0; part < 4; ++part) {
      Simd::gather_words(rows, offsetof(BlockQ2_K, qs) + 16 * part, packed);
#pragma GCC unroll 4
      for (int run = 0; run < 4; ++run) {
        const int group = part / 2 * 8 + 2 * run + part % 2;
        const Simd::I step = byte_in_halves(steps[group / 4], group % 4, 15);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k)
          Simd::store_int(out + (4 * group + k) * Simd::kLanes * 4, Simd::multiply_halves(byte_bits(packed[k], 2 * run, 2), step));
      }
    }
  }
  static void factors(Rows rows, float* scales, float* mins) {
    Simd::I steps[4], last[4];
    Simd::gather_words(rows, offsetof(BlockQ2_K, scales), steps);
    Simd::gather_words(rows, sizeof(BlockQ2_K) - 16, last);
    const Simd::F d = Simd::half_floats(last[3]), dmin = Simd::half_floats(Simd::words_right(last[3], 16));
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) Simd::store(scales + g * Simd::kLanes, d);
#pragma GCC unroll 16
    for (int g = 0; g < 16; ++g) {
      const Simd::I step = Simd::and_int(Simd::words_right(steps[g / 4], 8 * (g % 4) + 4), Simd::splat_word(15));
      Simd::store(mins + g * Simd::kLanes, Simd::mul(Simd::to_float(step), dmin));
    }
  }
};

// Q3_K likewise: -(s - 32) * (q - 4), which spans -128 .. 124, plus 128; the scale is -d.
struct FoldedQ3K : Folded {
  static void steps_and_d(Rows rows, Simd::I (&steps)[4], Simd::F& d) {
    // The twelve bytes of steps and d end the block, two bytes off the words.
    Simd::I t[4];
    Simd::gather_words(rows, sizeof(BlockQ3_K) - 16, t);
    const auto join = [&](int i) { return Simd::or_int(Simd::words_right(t[i], 16), Simd::words_left(t[i + 1], 16)); };
    const Simd::I a = join(0), b = join(1), high = join(2);
    steps[0] = Simd::or_int(byte_bits(a, 0, 4), moved_bits(high, 0, 2, 4));
    steps[1] = Simd::or_int(byte_bits(b, 0, 4), moved_bits(high, 2, 2, 4));
    steps[2] = Simd::or_int(byte_bits(a, 4, 4), moved_bits(high, 4, 2, 4));
    steps[3] = Simd::or_int(byte_bits(b, 4, 4), moved_bits(high, 6, 2, 4));
    d = Simd::half_floats(Simd::words_right(t[3], 16));
  }
  static void lines(Rows rows, uint8_t* out) {
    Simd::I steps[4], packed[4], mask[8];
    Simd::F d;
    steps_and_d(rows, steps, d);
    Simd::gather_words(rows, offsetof(BlockQ3_K, hmask), mask);
    Simd::gather_words(rows, offsetof(BlockQ3_K, hmask) + 16, mask + 4);
    const Simd::I even = Simd::splat_word(0x00ff00ff), odd = Simd::splat_word(static_cast<int>(0xff00ff00u));
#pragma GCC unroll 4
    for (int part = 0; part < 4; ++part) {
      Simd::gather_words(rows, offsetof(BlockQ3_K, qs) + 16 * part, packed);
#pragma GCC unroll 4
      for (int run = 0; run < 4; ++run) {
        const int group = part / 2 * 8 + 2 * run + part % 2;
        const Simd::I step = byte_in_halves(steps[group / 4], group % 4, 63);
        // (32 - s) * q + 4 s, byte by byte.
        const Simd::I factor = Simd::sub_pairs(Simd::splat_word(0x00200020), step);
        const Simd::I start = Simd::words_left(Simd::or_int(step, Simd::words_left(step, 8)), 2);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          const Simd::I q = Simd::or_int(byte_bits(packed[k], 2 * run, 2), moved_bits(mask[part % 2 * 4 + k], part / 2 * 4 + run, 1, 2));
          const Simd::I low = Simd::and_int(Simd::multiply_halves(Simd::and_int(q, even), factor), even);
          const Simd::I high = Simd::multiply_halves(Simd::and_int(q, odd), factor);
          Simd::store_int(out + (4 * group + k) * Simd::kLanes * 4, Simd::sum_bytes(Simd::or_int(low, high), start));
        }
      }
    }
  }
  static void factors(Rows rows, float* scales, float*) {
    Simd::I steps[4];
    Simd::F d;
    steps_and_d(rows, steps, d);
    for (int g = 0; g < 8; ++g) Simd::store(scales + g * Simd::kLanes, Simd::sub(Simd::zero(), d));
  }
};

// Without VNNI larger codes would cost more than the scales.
constexpr bool kFoldSteps = Simd::kSignedOffset != 0;
template <>
struct LaneFormat<QuantFormat::kQ2_K> : std::conditional_t<kFoldSteps, FoldedQ2K, TwoBitLines<QuantFormat::kQ2_K, offsetof(BlockQ2_K, qs)>> {};
template <>
struct LaneFormat<QuantFormat::kQ3_K> : std::conditional_t<kFoldSteps, FoldedQ3K, TwoBitLines<QuantFormat::kQ3_K, offsetof(BlockQ3_K, qs)>> {};
template <>
struct LaneFormat<QuantFormat::kTQ2_0> : TwoBitLines<QuantFormat::kTQ2_0, offsetof(BlockTQ2_0, qs)> {};

// Groups of 32 in 16 bytes of nibbles every kStride bytes, low nibbles first; kFifth is where
// the fifth bits are, Table the values of the codes.
template <QuantFormat format, int kStride, int kCodes, int kFifth, const int8_t (*kTable)[16]>
struct NibbleLines : RowFactors {
  static void lines(Rows rows, uint8_t* out) {
    using Format = BlockFormat<format>;
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) {
      Simd::I packed[4], fifth[4];
      Simd::gather_words(rows, g * kStride + kCodes, packed);
      if constexpr (kFifth >= 0) Simd::gather_words(rows, g * kStride + kFifth, fifth);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        Simd::I low = byte_bits(packed[k], 0, 4), high = byte_bits(packed[k], 4, 4);
        if constexpr (kFifth >= 0) {
          low = Simd::or_int(low, Simd::bytes_where(fifth[0], 4 * k, 16));
          high = Simd::or_int(high, Simd::bytes_where(fifth[0], 16 + 4 * k, 16));
        }
        if constexpr (kTable != nullptr) {
          low = Simd::look_up(*kTable, low);
          high = Simd::look_up(*kTable, high);
        }
        put_line<Format>(out, 8 * g + k, low);
        put_line<Format>(out, 8 * g + 4 + k, high);
      }
    }
  }
};
template <>
struct LaneFormat<QuantFormat::kQ4_0> : NibbleLines<QuantFormat::kQ4_0, 18, 2, -1, nullptr> {};
template <>
struct LaneFormat<QuantFormat::kQ4_1> : NibbleLines<QuantFormat::kQ4_1, 20, 4, -1, nullptr> {};
template <>
struct LaneFormat<QuantFormat::kQ5_0> : NibbleLines<QuantFormat::kQ5_0, 22, 6, 2, nullptr> {};
template <>
struct LaneFormat<QuantFormat::kQ5_1> : NibbleLines<QuantFormat::kQ5_1, 24, 8, 4, nullptr> {};
template <>
struct LaneFormat<QuantFormat::kIQ4_NL> : NibbleLines<QuantFormat::kIQ4_NL, 18, 2, -1, &kNonLinearCodes> {};
template <>
struct LaneFormat<QuantFormat::kIQ4_XS> : NibbleLines<QuantFormat::kIQ4_XS, 16, 8, -1, &kNonLinearCodes> {};
template <>
struct LaneFormat<QuantFormat::kMXFP4> : NibbleLines<QuantFormat::kMXFP4, 17, 1, -1, &kE2m1Codes> {};

// Groups of 16 in 8 bytes of nibbles, low nibbles first.
template <>
struct LaneFormat<QuantFormat::kNVFP4> : RowFactors {
  static void lines(Rows rows, uint8_t* out) {
    using Format = BlockFormat<QuantFormat::kNVFP4>;
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) {
      Simd::I packed[4];
      Simd::gather_words(rows, g / 2 * 36 + 4 + 16 * (g % 2), packed);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const int line = 8 * g + k / 2 * 4 + k % 2;
        put_line<Format>(out, line, Simd::look_up(kE2m1Codes, byte_bits(packed[k], 0, 4)));
        put_line<Format>(out, line + 2, Simd::look_up(kE2m1Codes, byte_bits(packed[k], 4, 4)));
      }
    }
  }
};

template <>
struct LaneFormat<QuantFormat::kQ8_0> : RowFactors {
  static void lines(Rows rows, uint8_t* out) {
    using Format = BlockFormat<QuantFormat::kQ8_0>;
#pragma GCC unroll 16
    for (int part = 0; part < 16; ++part) {
      Simd::I codes[4];
      Simd::gather_words(rows, part / 2 * 34 + 2 + 16 * (part % 2), codes);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) put_line<Format>(out, 4 * part + k, codes[k]);
    }
  }
};

}  // namespace
}  // namespace moebius::cpu
