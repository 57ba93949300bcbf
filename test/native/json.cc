#include "native/json.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace moebius::test {

class JsonParser {
 public:
  explicit JsonParser(const std::string& text) : text_(text) {}

  Json document() {
    Json value = parse_value();
    skip_space();
    if (at_ != text_.size()) fail("end of text");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw std::runtime_error("json: expected " + expected + " at byte " + std::to_string(at_));
  }

  void skip_space() {
    while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_])) ++at_;
  }

  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string(1, c));
  }

  Json parse_value() {
    skip_space();
    if (at_ >= text_.size()) fail("a value");
    switch (text_[at_]) {
      case '{': return parse_object();
      case '[': return parse_array();
      case '"': return parse_string();
      case 't': return parse_word("true", Json::Kind::kBool, true);
      case 'f': return parse_word("false", Json::Kind::kBool, false);
      case 'n': return parse_word("null", Json::Kind::kNull, false);
      default: return parse_number();
    }
  }

  Json parse_word(const char* word, Json::Kind kind, bool value) {
    if (text_.compare(at_, std::strlen(word), word) != 0) fail(word);
    at_ += std::strlen(word);
    Json json;
    json.kind_ = kind;
    json.bool_ = value;
    return json;
  }

  Json parse_number() {
    const char* begin = text_.c_str() + at_;
    char* end = nullptr;
    Json json;
    json.kind_ = Json::Kind::kNumber;
    json.number_ = std::strtod(begin, &end);
    if (end == begin) fail("a number");
    at_ += static_cast<size_t>(end - begin);
    return json;
  }

  Json parse_object() {
    Json json;
    json.kind_ = Json::Kind::kObject;
    expect('{');
    if (accept('}')) return json;
    do {
      skip_space();
      const std::string key = parse_string().text_;
      expect(':');
      json.members_[key] = parse_value();
    } while (accept(','));
    expect('}');
    return json;
  }

  Json parse_array() {
    Json json;
    json.kind_ = Json::Kind::kArray;
    expect('[');
    if (accept(']')) return json;
    do json.items_.push_back(parse_value());
    while (accept(','));
    expect(']');
    return json;
  }

  unsigned hex4() {
    if (at_ + 4 > text_.size()) fail("four hex digits");
    const unsigned code = static_cast<unsigned>(std::strtoul(text_.substr(at_, 4).c_str(), nullptr, 16));
    at_ += 4;
    return code;
  }

  static void append_utf8(std::string& out, unsigned code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
      return;
    }
    if (code < 0x800) {
      out += static_cast<char>(0xc0 | (code >> 6));
    } else {
      if (code < 0x10000) {
        out += static_cast<char>(0xe0 | (code >> 12));
      } else {
        out += static_cast<char>(0xf0 | (code >> 18));
        out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
      }
      out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    }
    out += static_cast<char>(0x80 | (code & 0x3f));
  }

  void parse_escape(std::string& out) {
    const char c = text_[at_++];
    const char* const from = "bfnrt";
    const char* const to = "\b\f\n\r\t";
    if (const char* hit = std::strchr(from, c); c != '\0' && hit != nullptr) {
      out += to[hit - from];
    } else if (c == 'u') {
      unsigned code = hex4();
      if (code >= 0xd800 && code < 0xdc00 && text_.compare(at_, 2, "\\u") == 0) {
        at_ += 2;
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4() - 0xdc00);
      }
      append_utf8(out, code);
    } else {
      out += c;
    }
  }

  Json parse_string() {
    Json json;
    json.kind_ = Json::Kind::kString;
    expect('"');
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        ++at_;
        parse_escape(json.text_);
      } else {
        json.text_ += text_[at_++];
      }
    }
    if (at_ >= text_.size()) fail("\"");
    ++at_;
    return json;
  }

  const std::string& text_;
  size_t at_ = 0;
};

static void require(bool right, const char* kind) {
  if (!right) throw std::runtime_error(std::string("json: the value is not ") + kind);
}

Json Json::parse(const std::string& text) { return JsonParser(text).document(); }

Json Json::read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

bool Json::boolean() const { return require(kind_ == Kind::kBool, "a boolean"), bool_; }
double Json::number() const { return require(kind_ == Kind::kNumber, "a number"), number_; }
const std::string& Json::text() const { return require(kind_ == Kind::kString, "a string"), text_; }
const std::vector<Json>& Json::items() const { return require(kind_ == Kind::kArray, "an array"), items_; }
const std::map<std::string, Json>& Json::members() const {
  return require(kind_ == Kind::kObject, "an object"), members_;
}

const Json& Json::operator[](const std::string& key) const {
  static const Json nothing;
  const auto found = members_.find(key);
  return found == members_.end() ? nothing : found->second;
}

std::vector<int> Json::integers() const {
  std::vector<int> out;
  for (const Json& item : items()) out.push_back(static_cast<int>(item.number()));
  return out;
}

std::vector<float> Json::floats() const {
  std::vector<float> out;
  for (const Json& item : items()) out.push_back(static_cast<float>(item.number()));
  return out;
}

}  // namespace moebius::test
