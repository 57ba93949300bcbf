#include "sampling/gbnf_text.h"

#include <algorithm>

#include "base/error.h"

namespace moebius {

namespace {

// A character inside a GBNF class or literal.
std::string escaped_character(uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  if (code == '"' || code == '\\' || code == '[' || code == ']' || code == '^' || code == '-')
    return std::string("\\") + static_cast<char>(code);
  if (code >= 0x20 && code < 0x7F) return std::string(1, static_cast<char>(code));
  return code <= 0xFFFF ? format_text("\\u%04X", code) : format_text("\\U%08X", code);
}

// What JSON writes for a character that it cannot write as it is.
std::string json_escape(uint32_t code) {
  switch (code) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return format_text("\\u%04x", code);
  }
}

bool needs_escape(uint32_t code) { return code < 0x20 || code == '"' || code == '\\'; }

std::string digits(uint64_t value) { return std::to_string(value); }

std::string any_digits(size_t n) { return n == 0 ? "" : concat({" ", gbnf_repeat("[0-9]", n, static_cast<int64_t>(n))}); }

// Numbers of one length between two strings of digits, least <= most.
std::string same_length_range(std::string_view least, std::string_view most) {
  if (least.empty()) return "\"\"";
  const std::string_view low = least.substr(1), high = most.substr(1);
  const bool whole = low.find_first_not_of('0') == std::string_view::npos &&
                     high.find_first_not_of('9') == std::string_view::npos;
  const auto between = [&](char a, char b) {
    return a == b ? format_text("\"%c\"", a) : format_text("[%c-%c]", a, b);
  };
  if (whole) return between(least[0], most[0]) + any_digits(low.size());
  const std::string zeros(low.size(), '0'), nines(low.size(), '9');
  if (least[0] == most[0]) return concat({between(least[0], least[0]), " ", same_length_range(low, high)});
  std::string text = concat({between(least[0], least[0]), " ", same_length_range(low, nines), " | "});
  if (least[0] + 1 <= most[0] - 1)
    text += between(static_cast<char>(least[0] + 1), static_cast<char>(most[0] - 1)) + any_digits(low.size()) + " | ";
  return concat({"(", text, between(most[0], most[0]), " ", same_length_range(zeros, high), ")"});
}

std::string positive_range(uint64_t least, uint64_t most) {
  std::string text;
  for (size_t length = digits(least).size(); length <= digits(most).size(); ++length) {
    const std::string low = length == digits(least).size() ? digits(least) : concat({"1", std::string(length - 1, '0')});
    const std::string high = length == digits(most).size() ? digits(most) : std::string(length, '9');
    if (!text.empty()) text += " | ";
    text += same_length_range(low, high);
  }
  return text;
}

constexpr const char* kFraction = " ( \".\" [0-9]{1,16} )?";
constexpr const char* kZeroFraction = " ( \".\" \"0\"{1,16} )?";

// Alternatives for the numbers between bounds >= 0, each after the sign.
void append_magnitudes(const std::string& sign, NumberBounds b, std::string& out) {
  const auto append = [&](std::initializer_list<std::string_view> parts) {
    out += concat({out.empty() ? "" : " | ", sign, concat(parts)});
  };
  const auto whole = [](int64_t value) { return concat({"\"", std::to_string(value), "\""}); };
  if (b.least == b.most) {
    if (!b.least_exclusive && !b.most_exclusive) append({whole(b.least), kZeroFraction});
    return;
  }
  if (b.least_exclusive) append({whole(b.least), " \".\" \"0\"{0,8} [1-9] [0-9]{0,8}"});
  else append({whole(b.least), kFraction});
  if (b.least + 1 < b.most)
    append({"( ", positive_range(static_cast<uint64_t>(b.least + 1), static_cast<uint64_t>(b.most - 1)), " )", kFraction});
  if (!b.most_exclusive) append({whole(b.most), kZeroFraction});
}

}  // namespace

std::string concat(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

std::string gbnf_literal(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    uint32_t code = 0;
    const size_t length = decode_code_point(text, at, code);
    if (length == 0) throw Error(ErrorCode::kGrammar, "a string of the JSON schema is not valid UTF-8");
    out += escaped_character(code);
    at += length;
  }
  return out + "\"";
}

std::string gbnf_class(const CodePointSet& set) {
  std::string out = "[";
  for (const CodePointSpan& span : set) {
    out += escaped_character(span.first);
    if (span.last > span.first) out += concat({"-", escaped_character(span.last)});
  }
  return out + "]";
}

std::string gbnf_repeat(const std::string& item, size_t least, int64_t most) {
  if (least == 1 && most == 1) return item;
  if (least == 0 && most == 1) return item + "?";
  if (most < 0) return item + (least == 0 ? "*" : least == 1 ? "+" : format_text("{%zu,}", least));
  if (most == static_cast<int64_t>(least)) return item + format_text("{%zu}", least);
  return item + format_text("{%zu,%lld}", least, static_cast<long long>(most));
}

std::string gbnf_json_character(uint32_t code_point) {
  if (needs_escape(code_point)) return gbnf_literal(json_escape(code_point));
  return concat({"\"", escaped_character(code_point), "\""});
}

std::string gbnf_json_characters(const CodePointSet& set) {
  CodePointSet plain;
  std::string escapes;
  for (const CodePointSpan& span : set) {
    uint32_t begin = span.first;
    for (uint32_t code = span.first; code <= std::min<uint32_t>(span.last, '\\'); ++code) {
      if (!needs_escape(code)) continue;
      if (code > begin) plain.push_back({begin, code - 1});
      begin = code + 1;
      // Control characters other than these have no short form and are left out.
      const bool usual = code == '"' || code == '\\' || code == '\n' || code == '\r' || code == '\t';
      if (usual || set.size() == 1) escapes += concat({" | ", gbnf_literal(json_escape(code))});
    }
    if (begin <= span.last) plain.push_back({begin, span.last});
  }
  if (escapes.empty()) return plain.empty() ? "" : gbnf_class(plain);
  return plain.empty() ? concat({"(", escapes.substr(3), ")"}) : concat({"(", gbnf_class(plain), escapes, ")"});
}

std::string gbnf_integer_range(int64_t least, int64_t most) {
  std::string text;
  if (least < 0) {
    const std::string size = positive_range(static_cast<uint64_t>(most < 0 ? -most : 1), static_cast<uint64_t>(-least));
    text = concat({"\"-\" (", size, ")"});
  }
  if (most < 0) return text;
  if (!text.empty()) text += " | ";
  return text + positive_range(static_cast<uint64_t>(std::max<int64_t>(least, 0)), static_cast<uint64_t>(most));
}

std::string gbnf_number_range(NumberBounds b) {
  std::string out;
  if (b.least < 0) {
    const bool reaches_zero = b.most >= 0;
    append_magnitudes("\"-\" ", {reaches_zero ? 0 : -b.most, -b.least, b.most_exclusive && b.most <= 0, b.least_exclusive}, out);
  }
  if (b.most >= 0) {
    const bool from_zero = b.least < 0;
    append_magnitudes("", {from_zero ? 0 : b.least, b.most, !from_zero && b.least_exclusive, b.most_exclusive}, out);
  }
  return out;
}

}  // namespace moebius
