// GBNF text to a compiled grammar.
#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "sampling/grammar.h"
#include "sampling/grammar_builder.h"

namespace moebius {

namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GrammarParser {
 public:
  using Sequence = GrammarBuilder::Sequence;

  GrammarParser(std::string_view text, GrammarLimits limits) : text_(text), limits_(limits), builder_(limits) {}

  std::shared_ptr<const Grammar> parse() {
    if (text_.size() > limits_.max_text_bytes)
      throw Error(ErrorCode::kGrammar, format_text("grammar is %zu bytes long, the limit is %zu", text_.size(), limits_.max_text_bytes));
    skip_space(true);
    while (at_ < text_.size()) {
      parse_rule();
      skip_space(true);
    }
    const auto root = rules_.find("root");
    if (root == rules_.end() || !root->second.defined)
      throw Error(ErrorCode::kGrammar, "grammar has no rule called root");
    for (const auto& [name, rule] : rules_)
      if (!rule.defined) fail_at(rule.first_use, "rule '" + name + "' is used but not defined");
    return builder_.finish(root->second.index);
  }

 private:
  struct NamedRule {
    uint32_t index;
    size_t first_use;
    bool defined;
  };

  [[noreturn]] void fail(const std::string& what) const { fail_at(at_, what); }
  [[noreturn]] void fail_at(size_t at, const std::string& what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < text_.size(); ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n';
    }
    throw Error(ErrorCode::kGrammar, format_text("grammar %zu:%zu: %s", line, column, what.c_str()));
  }

  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  // Spaces and comments; line ends too when `newlines`.
  void skip_space(bool newlines) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
      } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string parse_name() {
    const size_t begin = at_;
    while (is_name_character(peek())) ++at_;
    if (at_ == begin) fail("expected a rule name");
    return std::string(text_.substr(begin, at_ - begin));
  }

  NamedRule& named_rule(const std::string& name, size_t at) {
    const auto known = rules_.find(name);
    if (known != rules_.end()) return known->second;
    const uint32_t index = builder_.add_rule(name);
    return rules_.emplace(name, NamedRule{index, at, false}).first->second;
  }

  void parse_rule() {
    const size_t begin = at_;
    const std::string name = parse_name();
    skip_space(false);
    if (text_.substr(at_, 3) != "::=") fail("expected '::=' after the rule name '" + name + "'");
    at_ += 3;
    NamedRule& rule = named_rule(name, begin);
    if (rule.defined) fail_at(begin, "rule '" + name + "' is defined twice");
    rule.defined = true;
    const uint32_t index = rule.index;
    skip_space(true);
    parse_alternatives(index, /*depth=*/0);
    if (at_ < text_.size() && peek() != '\n' && peek() != '\r') fail("expected a line end after the rule");
  }

  void parse_alternatives(uint32_t rule, size_t depth) {
    builder_.add_alternative(rule, parse_sequence(depth));
    while (next_alternative()) {
      skip_space(true);
      builder_.add_alternative(rule, parse_sequence(depth));
    }
  }

  // Takes a '|', which may also begin the next line.
  bool next_alternative() {
    const size_t begin = at_;
    skip_space(true);
    if (take('|')) return true;
    at_ = begin;
    return false;
  }

  Sequence parse_sequence(size_t depth) {
    Sequence sequence;
    while (at_ < text_.size()) {
      Sequence item;
      const char c = peek();
      if (c == '"') item = parse_literal();
      else if (c == '[') item = {builder_.character(parse_class())};
      else if (c == '.') item = parse_any();
      else if (c == '(') item = {parse_group(depth)};
      else if (is_name_character(c)) item = {parse_reference()};
      else if (c == '*' || c == '+' || c == '?' || c == '{') fail("nothing to repeat before this");
      else break;
      skip_space(depth > 0);
      item = parse_repetitions(std::move(item), depth);
      sequence.insert(sequence.end(), item.begin(), item.end());
    }
    return sequence;
  }

  Grammar::Element parse_reference() {
    const size_t begin = at_;
    const std::string name = parse_name();
    return GrammarBuilder::rule_element(named_rule(name, begin).index);
  }

  Grammar::Element parse_group(size_t depth) {
    if (depth >= limits_.max_group_depth) fail("groups are nested too deeply");
    ++at_;
    skip_space(true);
    const uint32_t rule = builder_.add_rule("");
    parse_alternatives(rule, depth + 1);
    if (!take(')')) fail("expected ')'");
    return GrammarBuilder::rule_element(rule);
  }

  Sequence parse_any() {
    ++at_;
    return {builder_.character(complement({}))};
  }

  Sequence parse_literal() {
    Sequence sequence;
    ++at_;
    while (peek() != '"') {
      if (at_ >= text_.size() || peek() == '\n') fail("literal without closing quote");
      builder_.append_literal(parse_character(), sequence);
    }
    ++at_;
    return sequence;
  }

  CodePointSet parse_class() {
    ++at_;
    const bool negated = take('^');
    CodePointSet set;
    while (peek() != ']') {
      if (at_ >= text_.size() || peek() == '\n') fail("character class without ']'");
      const size_t begin = at_;
      const uint32_t first = parse_character();
      uint32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        if (at_ >= text_.size()) fail("character class without ']'");
        last = parse_character();
        if (last < first) fail_at(begin, "character range runs backwards");
      }
      set.push_back({first, last});
    }
    ++at_;
    set = normalized(std::move(set));
    if (negated) set = complement(set);
    if (set.empty()) fail("character class matches nothing");
    return set;
  }

  // One character of a literal or class, escapes included.
  uint32_t parse_character() {
    if (peek() != '\\') {
      uint32_t code = 0;
      const size_t length = decode_code_point(text_, at_, code);
      if (length == 0) fail("invalid UTF-8");
      at_ += length;
      return code;
    }
    const char kind = peek(1);
    at_ += 2;
    switch (kind) {
      case 'x': return parse_hex(2);
      case 'u': return parse_hex(4);
      case 'U': return parse_hex(8);
      case 't': return '\t';
      case 'r': return '\r';
      case 'n': return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '^':
      case '-': return static_cast<uint32_t>(kind);
      default: break;
    }
    at_ = std::min(at_, text_.size()) - 1;
    fail("unknown escape; known are \\n \\r \\t \\\\ \\\" \\[ \\] \\^ \\- \\xNN \\uNNNN \\UNNNNNNNN");
  }

  uint32_t parse_hex(int digits) {
    uint64_t code = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = peek();
      int digit = -1;
      if (c >= '0' && c <= '9') digit = c - '0';
      else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') digit = (c | 0x20) - 'a' + 10;
      if (digit < 0) fail(format_text("expected %d hexadecimal digits", digits));
      code = code * 16 + static_cast<uint64_t>(digit);
      ++at_;
    }
    if (code > kLastCodePoint || (code >= 0xD800 && code <= 0xDFFF)) fail("escape is not a Unicode character");
    return static_cast<uint32_t>(code);
  }

  Sequence parse_repetitions(Sequence item, size_t depth) {
    while (true) {
      size_t least = 0;
      int64_t most = -1;
      if (take('*')) {
      } else if (take('+')) {
        least = 1;
      } else if (take('?')) {
        most = 1;
      } else if (peek() == '{') {
        parse_bounds(least, most);
      } else {
        return item;
      }
      item = builder_.repeat(item, least, most);
      skip_space(depth > 0);
    }
  }

  void parse_bounds(size_t& least, int64_t& most) {
    const size_t begin = at_++;
    skip_space(false);
    least = peek() == ',' ? 0 : parse_count();
    skip_space(false);
    most = static_cast<int64_t>(least);
    if (take(',')) {
      skip_space(false);
      most = peek() == '}' ? -1 : static_cast<int64_t>(parse_count());
      skip_space(false);
    }
    if (!take('}')) fail("expected '}' after the repetition count");
    if (most >= 0 && most < static_cast<int64_t>(least)) fail_at(begin, "repetition maximum is less than its minimum");
  }

  size_t parse_count() {
    if (peek() < '0' || peek() > '9') fail("expected a repetition count");
    size_t count = 0;
    while (peek() >= '0' && peek() <= '9') {
      count = count * 10 + static_cast<size_t>(peek() - '0');
      if (count > limits_.max_repetitions) fail(format_text("repetition count is larger than %zu", limits_.max_repetitions));
      ++at_;
    }
    return count;
  }

  std::string_view text_;
  GrammarLimits limits_;
  GrammarBuilder builder_;
  size_t at_ = 0;
  std::unordered_map<std::string, NamedRule> rules_;
};

}  // namespace

std::shared_ptr<const Grammar> Grammar::parse(std::string_view gbnf, GrammarLimits limits) {
  return GrammarParser(gbnf, limits).parse();
}

}  // namespace moebius
