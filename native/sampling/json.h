// A small strict JSON reader (RFC 8259) for schemas: keeps the order of object members,
// refuses duplicate keys, trailing text and anything beyond its limits.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moebius {

struct JsonLimits {
  size_t max_bytes = 4 * 1024 * 1024;
  size_t max_depth = 64;
};

class JsonValue {
 public:
  enum class Type { kNull, kBoolean, kNumber, kString, kArray, kObject };
  using Member = std::pair<std::string, JsonValue>;

  // Defined where the type is complete, since a value holds a vector of itself.
  JsonValue();
  explicit JsonValue(Type value_type);
  ~JsonValue();
  JsonValue(const JsonValue&);
  JsonValue& operator=(const JsonValue&);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(JsonValue&&) noexcept;

  Type type = Type::kNull;
  bool boolean = false;
  double number = 0;
  std::string text;  // a string's value, or a number as it was written
  std::vector<JsonValue> items;
  std::vector<Member> members;

  bool is(Type wanted) const { return type == wanted; }
  // The member's value, or nullptr. Only objects have members.
  const JsonValue* find(std::string_view key) const;
  // "object", "string", ... for messages.
  const char* type_name() const;
};

// Throws Error(kGrammar) with line and column.
JsonValue parse_json(std::string_view text, JsonLimits limits = {});

// One line, members in their order, numbers as written, non-ASCII text kept as UTF-8.
std::string write_json(const JsonValue& value);
// The string with quotes and escapes.
std::string quote_json(std::string_view text);

}  // namespace moebius
