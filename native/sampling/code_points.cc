#include "sampling/code_points.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr uint32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

uint32_t utf8_length(uint32_t code) { return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4; }

void encode(uint32_t code, uint32_t length, uint8_t* out) {
  constexpr uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (uint32_t i = length; i-- > 1;) {
    out[i] = static_cast<uint8_t>(0x80 | (code & 0x3F));
    code >>= 6;
  }
  out[0] = static_cast<uint8_t>(leads[length] | code);
}

// Splits [first, last], all of one UTF-8 length, until each part is a product of byte ranges.
void add_patterns(uint32_t first, uint32_t last, uint32_t length, std::vector<Utf8Pattern>& out) {
  for (uint32_t i = 1; i < length; ++i) {
    const uint32_t low_bits = (1u << (6 * i)) - 1;
    if ((first & ~low_bits) == (last & ~low_bits)) continue;
    if ((first & low_bits) != 0) {
      add_patterns(first, first | low_bits, length, out);
      return add_patterns((first | low_bits) + 1, last, length, out);
    }
    if ((last & low_bits) != low_bits) {
      add_patterns(first, (last & ~low_bits) - 1, length, out);
      return add_patterns(last & ~low_bits, last, length, out);
    }
  }
  uint8_t low[4] = {}, high[4] = {};
  encode(first, length, low);
  encode(last, length, high);
  Utf8Pattern pattern{{}, length};
  for (uint32_t i = 0; i < length; ++i) pattern.bytes[i] = {low[i], high[i]};
  out.push_back(pattern);
}

}  // namespace

CodePointSet normalized(CodePointSet set) {
  CodePointSet cut;
  for (const CodePointSpan& span : set) {
    if (span.first < kFirstSurrogate) cut.push_back({span.first, std::min(span.last, kFirstSurrogate - 1)});
    if (span.last > kLastSurrogate) cut.push_back({std::max(span.first, kLastSurrogate + 1), std::min(span.last, kLastCodePoint)});
  }
  std::sort(cut.begin(), cut.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  CodePointSet merged;
  for (const CodePointSpan& span : cut) {
    if (!merged.empty() && span.first <= merged.back().last + 1) merged.back().last = std::max(merged.back().last, span.last);
    else merged.push_back(span);
  }
  return merged;
}

CodePointSet complement(const CodePointSet& set) {
  CodePointSet rest;
  uint32_t next = 0;
  for (const CodePointSpan& span : set) {
    if (span.first > next) rest.push_back({next, span.first - 1});
    next = span.last + 1;
  }
  if (next <= kLastCodePoint) rest.push_back({next, kLastCodePoint});
  return normalized(std::move(rest));
}

bool contains(const CodePointSet& set, uint32_t code_point) {
  return std::any_of(set.begin(), set.end(),
                     [&](const CodePointSpan& span) { return code_point >= span.first && code_point <= span.last; });
}

std::vector<Utf8Pattern> utf8_patterns(const CodePointSet& set) {
  constexpr uint32_t last_of_length[] = {0, 0x7F, 0x7FF, 0xFFFF, kLastCodePoint};
  std::vector<Utf8Pattern> patterns;
  for (const CodePointSpan& span : set) {
    uint32_t first = span.first;
    while (first <= span.last) {
      const uint32_t length = utf8_length(first);
      const uint32_t last = std::min(span.last, last_of_length[length]);
      add_patterns(first, last, length, patterns);
      first = last + 1;
    }
  }
  return patterns;
}

size_t decode_code_point(std::string_view text, size_t at, uint32_t& code_point) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
  const uint32_t lead = byte(0);
  const uint32_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || at + length > text.size()) return 0;
  code_point = length == 1 ? lead : lead & (0xFFu >> (length + 1));
  for (uint32_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  const bool surrogate = code_point >= kFirstSurrogate && code_point <= kLastSurrogate;
  return utf8_length(code_point) == length && !surrogate && code_point <= kLastCodePoint ? length : 0;
}

}  // namespace moebius
