#include "sampling/json_schema_object.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "sampling/code_points.h"
#include "sampling/gbnf_text.h"
#include "sampling/json_schema_merge.h"

namespace moebius {

namespace {

using Type = JsonValue::Type;
using Name = std::vector<uint32_t>;  // code points

constexpr size_t kMaxExcludedNameLength = 256;

struct Property {
  std::string pair;  // operand for "name": value
  bool required;
};

Name decode_name(const std::string& name, const std::string& path) {
  Name out;
  for (size_t at = 0; at < name.size();) {
    uint32_t code = 0;
    const size_t length = decode_code_point(name, at, code);
    if (length == 0) fail_schema(path, "a property name is not valid UTF-8");
    out.push_back(code);
    at += length;
  }
  if (out.size() > kMaxExcludedNameLength) fail_schema(path, "a property name is too long beside additionalProperties");
  return out;
}

// The rest of a key that differs from the rest of every name, from character `at` on. The
// names are sorted and agree before `at`.
std::string other_key_rest(SchemaRules& rules, std::span<const Name> names, size_t at) {
  const bool some_name_ends = !names.empty() && names[0].size() == at;
  if (some_name_ends) names = names.subspan(1);
  CodePointSet taken = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}};
  std::string branches;
  for (size_t begin = 0; begin < names.size();) {
    const uint32_t code = names[begin][at];
    size_t end = begin;
    while (end < names.size() && names[end][at] == code) ++end;
    taken.push_back({code, code});
    // A character that JSON must escape is not offered here at all.
    const bool plain = code >= 0x20 && code != '"' && code != '\\';
    if (plain) branches += concat({" | ", gbnf_json_character(code), " ", other_key_rest(rules, names.subspan(begin, end - begin), at + 1)});
    begin = end;
  }
  const std::string body = concat({gbnf_class(complement(normalized(taken))), " ", rules.common("char"), "*", branches,
                                   some_name_ends ? "" : " | \"\""});
  return rules.add_rule("other-key", body);
}

class ObjectConverter {
 public:
  ObjectConverter(SchemaRules& rules, const JsonValue& schema, const std::string& path, int depth)
      : rules_(rules), schema_(schema), path_(path), depth_(depth) {}

  std::string convert() {
    read_properties();
    read_additional();
    if (properties_.empty() && additional_.empty())
      return rules_.add_rule("object", concat({"\"{\" ", rules_.common("space"), " \"}\""}));
    // From the last property back: what may follow when a comma is needed, and when not.
    std::string after_some = rules_.add_rule("more", additional_.empty() ? "\"\"" : concat({"( ", comma(), additional_, " )*"}));
    std::string after_none = rules_.add_rule("first", additional_.empty() ? "\"\"" : concat({"( ", additional_, " ", after_some, " )?"}));
    for (size_t i = properties_.size(); i-- > 0;) {
      const Property& property = properties_[i];
      const std::string with_comma = concat({comma(), property.pair, " ", after_some});
      const std::string without_comma = concat({property.pair, " ", after_some});
      after_none = rules_.add_rule("first", property.required ? without_comma : concat({without_comma, " | ", after_none}));
      after_some = rules_.add_rule("more", property.required ? with_comma : concat({with_comma, " | ", after_some}));
    }
    const std::string space = rules_.common("space");
    return rules_.add_rule("object", concat({"\"{\" ", space, " ", after_none, " ", space, " \"}\""}));
  }

 private:
  std::string comma() { return concat({"\",\" ", rules_.common("space"), " "}); }

  std::string pair(const std::string& key, const std::string& value) {
    return rules_.add_rule("pair", concat({key, " \":\" ", rules_.common("space"), " ", value}));
  }

  void read_properties() {
    std::set<std::string> required;
    if (const JsonValue* list = schema_.find("required")) {
      if (!list->is(Type::kArray)) fail_schema(path_, "required is not a list of names");
      for (const JsonValue& name : list->items) {
        if (!name.is(Type::kString)) fail_schema(path_, "required holds something that is not a name");
        required.insert(name.text);
        required_.push_back(name.text);
      }
    }
    const JsonValue* properties = schema_.find("properties");
    if (!properties) return;
    if (!properties->is(Type::kObject)) fail_schema(path_, "properties is not an object");
    for (const auto& [name, schema] : properties->members) {
      const std::string value = rules_.visit_schema(schema, path_ + "/properties/" + name, depth_ + 1);
      properties_.push_back({pair(gbnf_literal(quote_json(name)), value), required.contains(name)});
      names_.push_back(name);
    }
  }

  // A pair of a property not named in the schema; empty when there must be none.
  void read_additional() {
    const JsonValue* additional = schema_.find("additionalProperties");
    const bool named = schema_.find("properties") != nullptr;
    const bool open = additional ? !(additional->is(Type::kBoolean) && !additional->boolean) : !named;
    for (const std::string& name : required_) {
      if (std::find(names_.begin(), names_.end(), name) != names_.end()) continue;
      if (!open) fail_schema(path_, "required property '" + name + "' is not among the properties");
      // Required but not described: any value.
      properties_.push_back({pair(gbnf_literal(quote_json(name)), rules_.common("value")), true});
      names_.push_back(name);
    }
    if (!open) return;
    const std::string value =
        additional && additional->is(Type::kObject)
            ? rules_.visit_schema(*additional, path_ + "/additionalProperties", depth_ + 1)
            : rules_.common("value");
    additional_ = pair(other_key(), value);
  }

  std::string other_key() {
    if (names_.empty()) return rules_.common("string");
    std::vector<Name> names;
    for (const std::string& name : names_) names.push_back(decode_name(name, path_));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return rules_.add_rule("key", concat({"\"\\\"\" ", other_key_rest(rules_, names, 0), " \"\\\"\""}));
  }

  SchemaRules& rules_;
  const JsonValue& schema_;
  const std::string& path_;
  int depth_;
  std::vector<Property> properties_;
  std::vector<std::string> names_;
  std::vector<std::string> required_;
  std::string additional_;
};

}  // namespace

std::string convert_object(SchemaRules& rules, const JsonValue& schema, const std::string& path, int depth) {
  return ObjectConverter(rules, schema, path, depth).convert();
}

}  // namespace moebius
