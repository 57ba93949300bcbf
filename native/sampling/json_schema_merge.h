// Resolving $ref and merging allOf, so that the converter sees plain schemas.
#pragma once

#include <string>

#include "sampling/json.h"

namespace moebius {

[[noreturn]] void fail_schema(const std::string& path, const std::string& what);

class SchemaMerger {
 public:
  explicit SchemaMerger(const JsonValue& document) : document_(document) {}

  // The schema a local $ref ("#", "#/$defs/name", ...) points to.
  const JsonValue& resolve(const std::string& ref, const std::string& path) const;
  // A copy without $ref and allOf at its top: what they stand for is merged in.
  JsonValue flatten(const JsonValue& schema, const std::string& path, int depth = 0);
  // Both schemas at once.
  JsonValue merge(JsonValue a, const JsonValue& b, const std::string& path);

 private:
  void spend(const JsonValue& value, const std::string& path);
  void merge_keyword(JsonValue& target, const std::string& key, const JsonValue& value, const std::string& path);

  const JsonValue& document_;
  size_t spent_ = 0;  // JSON values copied, bounded against schemas that multiply
};

// title, description and the like: they constrain nothing.
bool is_schema_annotation(const std::string& key);

}  // namespace moebius
