#include "tokenizer/word_patterns.h"

namespace moebius {

namespace {

constexpr uint32_t kAnyClass = 0xFFFFFFFF;
constexpr uint32_t kUpperLike = kUppers | kTitles | kCaselessLetters | kMarks;  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
constexpr uint32_t kLowerLike = kLowers | kCaselessLetters | kMarks;            // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

bool is_newline(uint32_t value) { return value == '\r' || value == '\n'; }
bool is_ascii_letter(uint32_t value) { return (value | 0x20) >= 'a' && (value | 0x20) <= 'z'; }

bool is_ascii_symbol(uint32_t value) {
  return value < 0x80 && (char_class_bit(value) & (kPunctuations | kSymbols));
}

// \p{L}+ after an optional space: ` ?[classes]+`.
size_t match_after_space(std::string_view text, size_t at, uint32_t classes) {
  const size_t start = at < text.size() && text[at] == ' ' ? at + 1 : at;
  const size_t end = class_run(text, start, classes);
  return end > start ? end : at;
}

// [^\r\n\p{L}\p{N}]?[classes]+ where classes may hold marks, which the prefix may be too.
size_t match_prefixed_letters(std::string_view text, size_t at, uint32_t classes) {
  const PatternChar first = pattern_char(text, at);
  if (!(first.class_bit & (kLetters | kNumbers)) && !is_newline(first.value)) {
    const size_t start = at + first.bytes;
    const size_t end = class_run(text, start, classes);
    if (end > start) return end;
  }
  return class_run(text, at, classes);
}

//  ?[^\s\p{L}\p{N}]+[after]*
size_t match_symbols(std::string_view text, size_t at, uint32_t excluded, std::string_view after) {
  size_t end = match_after_space(text, at, kAnyClass & ~(excluded | kWhitespaces));
  if (end == at) return at;
  while (end < text.size() && after.find(text[end]) != std::string_view::npos) ++end;
  return end;
}

struct CasedRun {
  size_t upper_end;  // end of [kUpperLike]*
  size_t end;        // end of [kUpperLike]*[kLowerLike]+ with backtracking, or the start
};

// Han characters are no letters for Kimi.
uint32_t cased_bits(const PatternChar& c, bool exclude_han) {
  return exclude_han && (c.class_bit & kLetters) && is_han(c.value) ? 0 : c.class_bit;
}

// [kUpperLike]*[kLowerLike]+: when nothing lower-like follows the upper-like run, the run
// gives back characters until its last one that is both.
CasedRun cased_run(std::string_view text, size_t start, bool exclude_han) {
  CasedRun run{start, start};
  while (true) {
    const PatternChar c = pattern_char(text, run.upper_end);
    const uint32_t bits = cased_bits(c, exclude_han);
    if (!(bits & kUpperLike)) break;
    run.upper_end += c.bytes;
    if (bits & kLowerLike) run.end = run.upper_end;
  }
  size_t end = run.upper_end;
  while (true) {
    const PatternChar c = pattern_char(text, end);
    if (!(cased_bits(c, exclude_han) & kLowerLike)) break;
    end += c.bytes;
  }
  if (end > run.upper_end) run.end = end;
  return run;
}

// [^\r\n\p{L}\p{N}]?U*W+|[^\r\n\p{L}\p{N}]?U+W*  with U = kUpperLike, W = kLowerLike.
size_t match_cased_letters(std::string_view text, size_t at, bool exclude_han) {
  const PatternChar first = pattern_char(text, at);
  const bool prefix = !(first.class_bit & (kLetters | kNumbers)) && !is_newline(first.value);
  const size_t after_prefix = prefix ? at + first.bytes : at;
  const CasedRun with_prefix = cased_run(text, after_prefix, exclude_han);
  if (with_prefix.end > after_prefix) return with_prefix.end;
  // Only a mark is both a possible prefix and a possible letter.
  if (prefix && (first.class_bit & kMarks)) return after_prefix;
  return with_prefix.upper_end > after_prefix ? with_prefix.upper_end : at;
}

size_t match_letters(std::string_view text, size_t at, const WordRules& rules) {
  switch (rules.letters) {
    case WordRules::Letters::kGpt2:
      return match_after_space(text, at, rules.letter_classes);
    case WordRules::Letters::kLlama3:
      return match_prefixed_letters(text, at, rules.letter_classes);
    case WordRules::Letters::kKimi:
    case WordRules::Letters::kGpt4o: {
      const size_t end = match_cased_letters(text, at, rules.letters == WordRules::Letters::kKimi);
      return end > at && rules.contractions ? match_contraction(text, end, true) : end;
    }
  }
  return at;
}

}  // namespace

size_t match_contraction(std::string_view text, size_t at, bool any_case) {
  if (at + 1 >= text.size() || text[at] != '\'') return at;
  const auto letter = [&](size_t i) -> char {
    if (at + i >= text.size()) return 0;
    const char c = text[at + i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 0x20) : c;
  };
  const char a = letter(1), b = letter(2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
  return at;
}

size_t match_whitespace(std::string_view text, size_t at, bool newlines) {
  size_t end = at, last_begin = at, after_newline = at;
  while (true) {
    const PatternChar c = pattern_char(text, end);
    if (!(c.class_bit & kWhitespaces)) break;
    last_begin = end;
    end += c.bytes;
    if (is_newline(c.value)) after_newline = end;
  }
  if (newlines && after_newline > at) return after_newline;
  // \s+(?!\S): leave the last one to the word that follows, unless it is the only one.
  return end < text.size() && last_begin > at ? last_begin : end;
}

size_t match_word(std::string_view text, size_t at, const WordRules& rules) {
  const bool gpt2 = rules.letters == WordRules::Letters::kGpt2;
  size_t end = at;
  if (rules.letters == WordRules::Letters::kKimi) {
    while (true) {
      const PatternChar c = pattern_char(text, end);
      if (c.bytes == 0 || !is_han(c.value)) break;
      end += c.bytes;
    }
    if (end > at) return end;
  }
  const bool leading_contraction = gpt2 || rules.letters == WordRules::Letters::kLlama3;
  if (leading_contraction && rules.contractions) end = match_contraction(text, at, !gpt2);
  if (end == at) end = match_letters(text, at, rules);
  if (end == at) end = gpt2 ? match_after_space(text, at, kNumbers) : class_run(text, at, kNumbers, rules.max_digits);
  if (end == at) end = match_symbols(text, at, rules.letter_classes | kNumbers, rules.after_symbols);
  if (end == at) end = match_whitespace(text, at, !gpt2);
  return end;
}

size_t match_deepseek_v3_word(std::string_view text, size_t at) {
  const PatternChar first = pattern_char(text, at);
  if (is_ascii_symbol(first.value)) {
    size_t end = at + 1;
    while (end < text.size() && is_ascii_letter(static_cast<uint8_t>(text[end]))) ++end;
    if (end > at + 1) return end;
  }
  constexpr uint32_t kWordClasses = kLetters | kMarks;
  if (!(first.class_bit & (kLetters | kPunctuations | kSymbols)) && !is_newline(first.value)) {
    const size_t start = at + first.bytes;
    const size_t end = class_run(text, start, kWordClasses);
    if (end > start) return end;
  }
  size_t end = class_run(text, at, kWordClasses);
  if (end > at) return end;
  end = match_symbols(text, at, ~(kPunctuations | kSymbols), "\r\n");
  if (end > at) return end;
  return match_whitespace(text, at, true);
}

}  // namespace moebius
