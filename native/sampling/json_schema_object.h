// The object part of the JSON schema converter.
#pragma once

#include <string>

#include "sampling/json.h"

namespace moebius {

// What the object part needs of the converter.
class SchemaRules {
 public:
  virtual ~SchemaRules() = default;
  // One GBNF operand for a schema.
  virtual std::string visit_schema(const JsonValue& schema, const std::string& path, int depth) = 0;
  // The name of a common rule (space, string, char, value, ...), defining it on first use.
  virtual std::string common(const std::string& name) = 0;
  // Defines a rule and returns its name.
  virtual std::string add_rule(const std::string& hint, const std::string& body) = 0;
};

// One GBNF operand for {"type": "object", ...}.
std::string convert_object(SchemaRules& rules, const JsonValue& schema, const std::string& path, int depth);

}  // namespace moebius
