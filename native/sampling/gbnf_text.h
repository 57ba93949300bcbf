// Pieces of GBNF text, for generators of grammars.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "sampling/code_points.h"

namespace moebius {

std::string concat(std::initializer_list<std::string_view> parts);

// "text" with quotes and escapes; text is valid UTF-8.
std::string gbnf_literal(std::string_view text);
// [..] of a normalised, non-empty set.
std::string gbnf_class(const CodePointSet& set);
// item{least,most}, shortened; most < 0: no limit. item is one operand.
std::string gbnf_repeat(const std::string& item, size_t least, int64_t most);

// How the characters of a set may stand inside a JSON string: as they are, or escaped where
// JSON demands it. One operand; the set is normalised. "" when nothing is left.
std::string gbnf_json_characters(const CodePointSet& set);
// The same for one character.
std::string gbnf_json_character(uint32_t code_point);

// A rule body for the decimal integers least..most, whose absolute values are below 10^18.
std::string gbnf_integer_range(int64_t least, int64_t most);

// Whole-number bounds of a JSON number; an exclusive one is not itself in the range.
struct NumberBounds {
  int64_t least;
  int64_t most;
  bool least_exclusive = false;
  bool most_exclusive = false;
};
// A rule body for decimal numbers without exponent within the bounds, whose absolute values
// are below 10^18; "" when there are none.
std::string gbnf_number_range(NumberBounds bounds);

// A rule body for strings that match a regular expression as a JSON string, quotes not
// included. Supported: literals, escapes, ., classes, \d \w \s and their negations, groups,
// alternatives, greedy quantifiers, ^ at the start and $ at the end; an open end matches any
// characters. json_character is the operand for one such character.
// Throws Error(kGrammar) naming what is not supported.
std::string gbnf_from_pattern(std::string_view pattern, const std::string& json_character);

}  // namespace moebius
