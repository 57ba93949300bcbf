#include "tokenizer/unicode.h"

#include <algorithm>
#include <vector>

#include "tokenizer/unicode_tables.h"

namespace moebius {

namespace {

constexpr uint32_t kCodePoints = 0x110000;

std::vector<uint8_t> expand_class_runs() {
  std::vector<uint8_t> classes(kCodePoints);
  for (size_t i = 0; i < kClassRunsCount; ++i) {
    const uint32_t first = kClassRuns[i] >> 4;
    const uint32_t end = i + 1 < kClassRunsCount ? kClassRuns[i + 1] >> 4 : kCodePoints;
    std::fill(classes.begin() + first, classes.begin() + end, static_cast<uint8_t>(kClassRuns[i] & 15));
  }
  return classes;
}

bool in_ranges(const CodePointRange* ranges, size_t count, uint32_t code_point) {
  const CodePointRange* end = ranges + count;
  const CodePointRange* after = std::upper_bound(
      ranges, end, code_point, [](uint32_t value, const CodePointRange& range) { return value < range.first; });
  return after != ranges && code_point <= after[-1].last;
}

bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// The lead byte's length, 0 if no character starts with it.
uint32_t lead_length(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Whether `second` may follow `lead`: excludes overlong forms, surrogates, > U+10FFFF.
bool second_byte_allowed(uint8_t lead, uint8_t second) {
  if (!is_continuation(second)) return false;
  if (lead == 0xE0) return second >= 0xA0;
  if (lead == 0xED) return second <= 0x9F;
  if (lead == 0xF0) return second >= 0x90;
  if (lead == 0xF4) return second <= 0x8F;
  return true;
}

// Length of the longest prefix at text[at] that is a character or could become one.
uint32_t well_formed_prefix(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint32_t length = lead_length(byte(0));
  if (length <= 1) return length;
  const size_t available = std::min<size_t>(length, text.size() - at);
  if (available < 2 || !second_byte_allowed(byte(0), byte(1))) return 1;
  uint32_t good = 2;
  while (good < available && is_continuation(byte(good))) ++good;
  return good;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const uint32_t length = lead_length(static_cast<uint8_t>(lead));
  if (length == 0 || well_formed_prefix(text, at) != length) return {kReplacementCharacter, 1, false};
  if (length == 2) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2, true};
  if (length == 3) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3, true};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4, true};
}

void append_utf8(std::string& out, uint32_t code_point) {
  const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | code_point >> 6);
    push(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    push(0xE0 | code_point >> 12);
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  } else {
    push(0xF0 | code_point >> 18);
    push(0x80 | (code_point >> 12 & 0x3F));
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  }
}

CharClass char_class(uint32_t code_point) {
  static const std::vector<uint8_t> classes = expand_class_runs();
  return static_cast<CharClass>(classes[code_point]);
}

bool is_han(uint32_t code_point) {
  return code_point >= 0x2E80 && in_ranges(kHanRanges, kHanRangesCount, code_point);
}

bool is_deepseek_letter(uint32_t code_point) {
  return in_ranges(kDeepseekLetters, kDeepseekLettersCount, code_point);
}

size_t incomplete_utf8_tail(std::string_view bytes) {
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const size_t at = bytes.size() - back;
    const uint8_t lead = static_cast<uint8_t>(bytes[at]);
    if (is_continuation(lead)) continue;
    const uint32_t length = lead_length(lead);
    return length > back && well_formed_prefix(bytes, at) == back ? back : 0;
  }
  return 0;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const uint32_t length = lead_length(static_cast<uint8_t>(bytes[at]));
    const uint32_t good = length == 0 ? 0 : well_formed_prefix(bytes, at);
    if (length > 0 && good == length) {
      out.append(bytes, at, length);
      at += length;
    } else {
      out.append(kReplacementUtf8);
      at += std::max<uint32_t>(good, 1);
    }
  }
  return out;
}

}  // namespace moebius
