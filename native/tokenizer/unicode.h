// UTF-8 and character classes, as much of Unicode as pre-tokenisers need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace moebius {

enum class CharClass : uint8_t {
  kOther = 0,  // control, format, unassigned, private use, surrogate
  kUpper, kLower, kTitle, kModifierLetter, kOtherLetter,
  kMark, kNumber, kPunctuation, kSymbol,
  kWhitespace,  // what \s matches, whatever its category
};

// Sets of classes, one bit each: kLetters is \p{L}, and so on.
constexpr uint32_t class_bit(CharClass c) { return 1u << static_cast<uint32_t>(c); }
inline constexpr uint32_t kUppers = class_bit(CharClass::kUpper), kLowers = class_bit(CharClass::kLower),
                          kTitles = class_bit(CharClass::kTitle),
                          kCaselessLetters = class_bit(CharClass::kModifierLetter) | class_bit(CharClass::kOtherLetter),
                          kLetters = kUppers | kLowers | kTitles | kCaselessLetters,
                          kMarks = class_bit(CharClass::kMark), kNumbers = class_bit(CharClass::kNumber),
                          kPunctuations = class_bit(CharClass::kPunctuation), kSymbols = class_bit(CharClass::kSymbol),
                          kWhitespaces = class_bit(CharClass::kWhitespace);

inline constexpr uint32_t kReplacementCharacter = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

struct CodePoint {
  uint32_t value;  // kReplacementCharacter for an invalid byte
  uint32_t bytes;  // 1..4; 1 for an invalid byte
  bool valid;
};

// Decodes the character at text[at]; at < text.size(). Overlong forms, surrogates and values
// above U+10FFFF are invalid, byte by byte.
CodePoint decode_utf8(std::string_view text, size_t at);

void append_utf8(std::string& out, uint32_t code_point);

// The class of a code point <= U+10FFFF.
CharClass char_class(uint32_t code_point);
inline uint32_t char_class_bit(uint32_t code_point) { return class_bit(char_class(code_point)); }

bool is_han(uint32_t code_point);
bool is_deepseek_letter(uint32_t code_point);

// How many bytes at the end of `bytes` are the start of a character that more bytes could
// complete: 0..3.
size_t incomplete_utf8_tail(std::string_view bytes);

// Copies `bytes`, putting U+FFFD in place of each maximal broken sequence.
std::string to_valid_utf8(std::string_view bytes);

}  // namespace moebius
