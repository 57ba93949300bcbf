// Sets of Unicode code points as sorted ranges, and their UTF-8 byte patterns.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace moebius {

struct CodePointSpan {
  uint32_t first;
  uint32_t last;
  bool operator==(const CodePointSpan&) const = default;
};
using CodePointSet = std::vector<CodePointSpan>;

inline constexpr uint32_t kLastCodePoint = 0x10FFFF;

// Sorted, merged, without surrogates.
CodePointSet normalized(CodePointSet set);
// Every code point that is not in the normalised set, without surrogates.
CodePointSet complement(const CodePointSet& set);
bool contains(const CodePointSet& set, uint32_t code_point);

// 1..4 byte ranges that follow each other.
struct Utf8Pattern {
  struct ByteSpan {
    uint8_t first;
    uint8_t last;
  };
  std::array<ByteSpan, 4> bytes;
  uint32_t length;
};

// Patterns that together match exactly the UTF-8 forms of the normalised set.
std::vector<Utf8Pattern> utf8_patterns(const CodePointSet& set);

// Decodes one character strictly; returns its length, or 0 if text[at..] is not valid UTF-8.
size_t decode_code_point(std::string_view text, size_t at, uint32_t& code_point);

}  // namespace moebius
