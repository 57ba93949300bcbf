// Regular expressions of JSON schemas (the common part of ECMA 262) to GBNF.
#include <algorithm>

#include "base/error.h"
#include "sampling/gbnf_text.h"

namespace moebius {

namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxPatternBytes = 4096;

CodePointSet shorthand_set(char kind) {
  switch (kind | 0x20) {
    case 'd': return {{'0', '9'}};
    case 'w': return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    default: return {{'\t', '\t'}, {'\n', '\n'}, {'\r', '\r'}, {' ', ' '}};
  }
}

class PatternParser {
 public:
  PatternParser(std::string_view pattern, const std::string& any_character)
      : text_(pattern), any_character_(any_character) {}

  std::string parse() {
    if (text_.size() > kMaxPatternBytes) fail("is longer than 4096 bytes");
    std::string body = parse_alternatives(0);
    if (peek() == ')') fail("has ')' without '('");
    if (!at_end()) fail("has an anchor inside, which is not supported");
    return body;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kGrammar, format_text("pattern '%.80s' %s (at character %zu)", std::string(text_).c_str(),
                                                 what.c_str(), at_ + 1));
  }

  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool at_end() const { return at_ >= text_.size(); }

  // At the top level each alternative may be anchored; where it is not, anything may stand.
  std::string parse_alternatives(size_t depth) {
    if (depth > kMaxDepth) fail("is nested too deeply");
    std::string out;
    while (true) {
      std::string branch;
      const bool anchored_start = depth == 0 && peek() == '^';
      if (anchored_start) ++at_;
      if (depth == 0 && !anchored_start) branch = any_character_ + "*";
      const std::string sequence = parse_sequence(depth);
      branch += (branch.empty() || sequence.empty() ? "" : " ") + sequence;
      const bool anchored_end = depth == 0 && peek() == '$';
      if (anchored_end) ++at_;
      if (depth == 0 && !anchored_end) branch += (branch.empty() ? "" : " ") + any_character_ + "*";
      out += branch.empty() ? "\"\"" : branch;
      if (peek() != '|') return out;
      ++at_;
      out += " | ";
    }
  }

  std::string parse_sequence(size_t depth) {
    std::string out;
    while (!at_end() && peek() != '|' && peek() != ')' && !(depth == 0 && peek() == '$')) {
      const std::string item = parse_quantified(parse_item(depth));
      out += (out.empty() ? "" : " ") + item;
    }
    return out;
  }

  std::string parse_item(size_t depth) {
    const char c = peek();
    switch (c) {
      case '(': return parse_group(depth);
      case '[': return json_set(parse_class());
      case '.':
        ++at_;
        return json_set(complement(normalized({{'\n', '\n'}, {'\r', '\r'}})));
      case '^':
      case '$': fail("has an anchor inside, which is not supported");
      case '*':
      case '+':
      case '?': fail("has a quantifier with nothing before it");
      case '\\':
        if (is_shorthand(peek(1))) return json_set(parse_shorthand());
        return gbnf_json_character(parse_escape());
      default: return gbnf_json_character(parse_character());
    }
  }

  std::string parse_group(size_t depth) {
    ++at_;
    if (peek() == '?') {
      if (peek(1) != ':') fail("uses (?...), of which only (?:...) is supported");
      at_ += 2;
    }
    const std::string body = parse_alternatives(depth + 1);
    if (peek() != ')') fail("has '(' without ')'");
    ++at_;
    return concat({"(", body, ")"});
  }

  std::string parse_quantified(std::string item) {
    size_t least = 0;
    int64_t most = -1;
    switch (peek()) {
      case '*': ++at_; break;
      case '+': ++at_; least = 1; break;
      case '?': ++at_; most = 1; break;
      case '{': parse_bounds(least, most); break;
      default: return item;
    }
    if (peek() == '?' || peek() == '+' || peek() == '*' || peek() == '{') fail("uses a lazy or repeated quantifier, which is not supported");
    return gbnf_repeat(item, least, most);
  }

  void parse_bounds(size_t& least, int64_t& most) {
    ++at_;
    least = parse_count();
    most = static_cast<int64_t>(least);
    if (peek() == ',') {
      ++at_;
      most = peek() == '}' ? -1 : static_cast<int64_t>(parse_count());
    }
    if (peek() != '}') fail("has '{' without a valid count");
    ++at_;
    if (most >= 0 && most < static_cast<int64_t>(least)) fail("has a repetition maximum below its minimum");
  }

  size_t parse_count() {
    if (peek() < '0' || peek() > '9') fail("has '{' without a valid count");
    size_t count = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      count = count * 10 + static_cast<size_t>(peek() - '0');
      if (count > 10000) fail("has a repetition count above 10000");
    }
    return count;
  }

  static bool is_shorthand(char c) { return c != '\0' && std::string_view("dDwWsS").find(c) != std::string_view::npos; }

  CodePointSet parse_shorthand() {
    const char kind = peek(1);
    at_ += 2;
    const CodePointSet set = shorthand_set(kind);
    return kind >= 'A' && kind <= 'Z' ? complement(set) : set;
  }

  CodePointSet parse_class() {
    ++at_;
    const bool negated = peek() == '^';
    if (negated) ++at_;
    CodePointSet set;
    while (peek() != ']') {
      if (at_end()) fail("has '[' without ']'");
      if (peek() == '\\' && is_shorthand(peek(1))) {
        const CodePointSet part = parse_shorthand();
        set.insert(set.end(), part.begin(), part.end());
        continue;
      }
      const uint32_t first = parse_class_character();
      uint32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        if (at_end() || (peek() == '\\' && is_shorthand(peek(1)))) fail("has an invalid range");
        last = parse_class_character();
        if (last < first) fail("has a range that runs backwards");
      }
      set.push_back({first, last});
    }
    ++at_;
    set = normalized(std::move(set));
    return negated ? complement(set) : set;
  }

  uint32_t parse_class_character() {
    if (peek() == '\\' && peek(1) == 'b') {
      at_ += 2;
      return '\b';
    }
    return peek() == '\\' ? parse_escape() : parse_character();
  }

  uint32_t parse_character() {
    uint32_t code = 0;
    const size_t length = decode_code_point(text_, at_, code);
    if (length == 0) fail("is not valid UTF-8");
    at_ += length;
    return code;
  }

  uint32_t parse_escape() {
    const char kind = peek(1);
    at_ += 2;
    switch (kind) {
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case 'f': return '\f';
      case 'x': return parse_hex(2);
      case 'u': return parse_hex(4);
      default: break;
    }
    const bool letter_or_digit = (kind >= '0' && kind <= '9') || ((kind | 0x20) >= 'a' && (kind | 0x20) <= 'z');
    if (letter_or_digit || kind == '\0' || (kind & 0x80)) {
      at_ = std::min(at_, text_.size());
      fail(format_text("uses the escape \\%c, which is not supported", kind ? kind : ' '));
    }
    return static_cast<uint32_t>(kind);
  }

  uint32_t parse_hex(int n_digits) {
    uint32_t code = 0;
    for (int i = 0; i < n_digits; ++i, ++at_) {
      const char c = peek();
      if (c >= '0' && c <= '9') code = code * 16 + static_cast<uint32_t>(c - '0');
      else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') code = code * 16 + static_cast<uint32_t>((c | 0x20) - 'a' + 10);
      else fail("has an invalid hexadecimal escape");
    }
    if (code >= 0xD800 && code <= 0xDFFF) fail("names half of a surrogate pair");
    return code;
  }

  std::string json_set(const CodePointSet& set) const {
    const std::string text = gbnf_json_characters(set);
    if (text.empty()) fail("has a class that matches nothing");
    return text;
  }

  std::string_view text_;
  const std::string& any_character_;
  size_t at_ = 0;
};

}  // namespace

std::string gbnf_from_pattern(std::string_view pattern, const std::string& json_character) {
  return PatternParser(pattern, json_character).parse();
}

}  // namespace moebius
