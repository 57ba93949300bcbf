#include "sampling/json.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <unordered_set>

#include "base/error.h"

namespace moebius {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_code_point(std::string& out, uint32_t code) {
  const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return push(code);
  if (code < 0x800) {
    push(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      push(0xE0 | code >> 12);
    } else {
      push(0xF0 | code >> 18);
      push(0x80 | (code >> 12 & 0x3F));
    }
    push(0x80 | (code >> 6 & 0x3F));
  }
  push(0x80 | (code & 0x3F));
}

class Parser {
 public:
  Parser(std::string_view text, JsonLimits limits) : text_(text), limits_(limits) {}

  JsonValue parse_document() {
    if (text_.size() > limits_.max_bytes)
      throw Error(ErrorCode::kGrammar, format_text("JSON text is %zu bytes long, the limit is %zu", text_.size(), limits_.max_bytes));
    JsonValue value = parse_value(0);
    skip_space();
    if (at_ < text_.size()) fail("unexpected text after the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n';
    }
    throw Error(ErrorCode::kGrammar, format_text("JSON %zu:%zu: %s", line, column, what));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }

  JsonValue parse_value(size_t depth) {
    if (depth > limits_.max_depth) fail("nested too deeply");
    skip_space();
    if (at_ >= text_.size()) fail("unexpected end, expected a value");
    JsonValue value;
    switch (peek()) {
      case '{': parse_object(value, depth); return value;
      case '[': parse_array(value, depth); return value;
      case '"':
        value.type = JsonValue::Type::kString;
        value.text = parse_string();
        return value;
      default: break;
    }
    if (peek() == '-' || is_digit(peek())) parse_number(value);
    else if (take_word("true") || take_word("false")) set_boolean(value);
    else if (!take_word("null")) fail("expected a value");
    return value;
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  void set_boolean(JsonValue& value) const {
    value.type = JsonValue::Type::kBoolean;
    value.boolean = text_.substr(at_ - 4, 4) == "true";
  }

  void parse_object(JsonValue& value, size_t depth) {
    value.type = JsonValue::Type::kObject;
    std::unordered_set<std::string> keys;
    ++at_;
    skip_space();
    if (take('}')) return;
    do {
      skip_space();
      if (peek() != '"') fail("expected a key in double quotes");
      std::string key = parse_string();
      if (!keys.insert(key).second) fail("the same key twice in one object");
      skip_space();
      if (!take(':')) fail("expected ':'");
      JsonValue member = parse_value(depth + 1);
      value.members.emplace_back(std::move(key), std::move(member));
      skip_space();
    } while (take(','));
    if (!take('}')) fail("expected ',' or '}'");
  }

  void parse_array(JsonValue& value, size_t depth) {
    value.type = JsonValue::Type::kArray;
    ++at_;
    skip_space();
    if (take(']')) return;
    do {
      value.items.push_back(parse_value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("expected ',' or ']'");
  }

  void take_digits() {
    if (!is_digit(peek())) fail("expected a digit");
    while (is_digit(peek())) ++at_;
  }

  void parse_number(JsonValue& value) {
    const size_t begin = at_;
    take('-');
    if (!take('0')) take_digits();
    else if (is_digit(peek())) fail("a number must not start with 0");
    if (take('.')) take_digits();
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      take_digits();
    }
    value.type = JsonValue::Type::kNumber;
    value.text = text_.substr(begin, at_ - begin);
    const auto result = std::from_chars(value.text.data(), value.text.data() + value.text.size(), value.number);
    if (result.ec != std::errc() || !std::isfinite(value.number)) fail("number out of range");
  }

  uint32_t parse_hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = peek();
      uint32_t digit;
      if (is_digit(c)) digit = static_cast<uint32_t>(c - '0');
      else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') digit = static_cast<uint32_t>((c | 0x20) - 'a' + 10);
      else fail("expected four hexadecimal digits");
      code = code * 16 + digit;
      ++at_;
    }
    return code;
  }

  void parse_escape(std::string& out) {
    constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
    const char c = peek();
    ++at_;
    if (c != 'u') {
      const size_t which = c == '\0' ? std::string_view::npos : names.find(c);
      if (which == std::string_view::npos) fail("unknown escape");
      out.push_back(values[which]);
      return;
    }
    uint32_t code = parse_hex4();
    if (code >= 0xDC00 && code <= 0xDFFF) fail("second half of a surrogate pair without the first");
    if (code >= 0xD800 && code <= 0xDBFF) {
      if (!take('\\') || !take('u')) fail("first half of a surrogate pair without the second");
      const uint32_t low = parse_hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("first half of a surrogate pair without the second");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_code_point(out, code);
  }

  std::string parse_string() {
    std::string out;
    ++at_;
    while (true) {
      if (at_ >= text_.size()) fail("string without end");
      const char c = text_[at_];
      if (static_cast<uint8_t>(c) < 0x20) fail("control character inside a string");
      ++at_;
      if (c == '"') return out;
      if (c == '\\') parse_escape(out);
      else out.push_back(c);
    }
  }

  std::string_view text_;
  JsonLimits limits_;
  size_t at_ = 0;
};

void write(const JsonValue& value, std::string& out) {
  switch (value.type) {
    case JsonValue::Type::kNull: out += "null"; return;
    case JsonValue::Type::kBoolean: out += value.boolean ? "true" : "false"; return;
    case JsonValue::Type::kNumber: out += value.text; return;
    case JsonValue::Type::kString: out += quote_json(value.text); return;
    case JsonValue::Type::kArray:
      for (size_t i = 0; i < value.items.size(); ++i) {
        out += i == 0 ? "[" : ",";
        write(value.items[i], out);
      }
      out += value.items.empty() ? "[]" : "]";
      return;
    case JsonValue::Type::kObject:
      for (size_t i = 0; i < value.members.size(); ++i) {
        out += i == 0 ? "{" : ",";
        out += quote_json(value.members[i].first) + ":";
        write(value.members[i].second, out);
      }
      out += value.members.empty() ? "{}" : "}";
      return;
  }
}

}  // namespace

JsonValue::JsonValue() = default;
JsonValue::JsonValue(Type value_type) : type(value_type) {}
JsonValue::~JsonValue() = default;
JsonValue::JsonValue(const JsonValue&) = default;
JsonValue& JsonValue::operator=(const JsonValue&) = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;

const JsonValue* JsonValue::find(std::string_view key) const {
  for (const Member& member : members)
    if (member.first == key) return &member.second;
  return nullptr;
}

const char* JsonValue::type_name() const {
  switch (type) {
    case Type::kNull: return "null";
    case Type::kBoolean: return "boolean";
    case Type::kNumber: return "number";
    case Type::kString: return "string";
    case Type::kArray: return "array";
    case Type::kObject: return "object";
  }
  return "value";
}

JsonValue parse_json(std::string_view text, JsonLimits limits) { return Parser(text, limits).parse_document(); }

std::string write_json(const JsonValue& value) {
  std::string out;
  write(value, out);
  return out;
}

std::string quote_json(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) out += format_text("\\u%04x", c);
        else out.push_back(c);
    }
  }
  return out + "\"";
}

}  // namespace moebius
