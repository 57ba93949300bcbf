// The regular expressions of pre-tokenisers, written as functions. Every match_* tries the
// pattern at one place and returns the end of the match, or `at` when there is none; its
// comment is the expression it stands for. All are linear in what they consume.
#pragma once

#include <cstdint>
#include <string_view>

#include "tokenizer/unicode.h"

namespace moebius {

// One character of the text with its class; past the end: class 0, no bytes.
struct PatternChar {
  uint32_t value;
  uint32_t bytes;
  uint32_t class_bit;
};

inline PatternChar pattern_char(std::string_view text, size_t at) {
  if (at >= text.size()) return {0xFFFFFFFF, 0, 0};
  const CodePoint c = decode_utf8(text, at);
  return {c.value, c.bytes, char_class_bit(c.value)};
}

// The end of the run of characters with a class in `classes` that starts at `at`; at most
// `limit` characters.
inline size_t class_run(std::string_view text, size_t at, uint32_t classes, size_t limit = SIZE_MAX) {
  for (; limit > 0; --limit) {
    const PatternChar c = pattern_char(text, at);
    if (!(c.class_bit & classes)) break;
    at += c.bytes;
  }
  return at;
}

// What differs between the members of the GPT-2, Llama-3, Qwen and GPT-4o families.
struct WordRules {
  enum class Letters { kGpt2, kLlama3, kGpt4o, kKimi };
  Letters letters = Letters::kLlama3;
  bool contractions = true;            // 's 't 're 've 'm 'll 'd
  uint32_t letter_classes = kLetters;  // Qwen 3.5 counts marks as letters
  size_t max_digits = 1;
  std::string_view after_symbols = "\r\n";  // swallowed after a run of symbols
};

// 's|'t|'re|'ve|'m|'ll|'d, in any case when `any_case`.
size_t match_contraction(std::string_view text, size_t at, bool any_case);
// \s*[\r\n]+|\s+(?!\S)|\s+   (without the first part when !newlines)
size_t match_whitespace(std::string_view text, size_t at, bool newlines);
// The whole expression for one family.
size_t match_word(std::string_view text, size_t at, const WordRules& rules);
// [\p{P}\p{S} of ASCII][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t match_deepseek_v3_word(std::string_view text, size_t at);

}  // namespace moebius
