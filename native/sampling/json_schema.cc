// JSON schema to GBNF.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "sampling/gbnf_text.h"
#include "sampling/grammar.h"
#include "sampling/json.h"
#include "sampling/json_schema_merge.h"
#include "sampling/json_schema_object.h"

namespace moebius {

namespace {

using Type = JsonValue::Type;

constexpr size_t kMaxSchemaBytes = 256 * 1024;
constexpr int kMaxDepth = 200;
constexpr size_t kMaxRules = 20'000;
constexpr double kMaxInteger = 999'999'999'999'999;  // 15 digits: exact in a double

// Rules every schema may use, by name.
struct CommonRule {
  const char* name;
  const char* body;
  std::initializer_list<const char*> uses;
};

const CommonRule kCommonRules[] = {
    // Some freedom for pretty printing, but no endless white space.
    {"space", "| \" \" | \"\\n\"{1,2} [ \\t]{0,20}", {}},
    {"char",
     "[^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" ( [\"\\\\/bfnrt] | \"u\" ( [0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} ) )", {}},
    {"string", "\"\\\"\" char* \"\\\"\"", {"char"}},
    {"integer", "\"-\"? ( \"0\" | [1-9] [0-9]{0,15} )", {}},
    {"number", "integer ( \".\" [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?", {"integer"}},
    {"boolean", "\"true\" | \"false\"", {}},
    {"null", "\"null\"", {}},
    {"value", "object | array | string | number | boolean | null", {"object", "array", "string", "number", "boolean", "null"}},
    {"object", "\"{\" space ( string \":\" space value ( \",\" space string \":\" space value )* )? space \"}\"",
     {"space", "string", "value"}},
    {"array", "\"[\" space ( value ( \",\" space value )* )? space \"]\"", {"space", "value"}},
    {"date",
     "[0-9]{4} \"-\" ( ( \"0\" [13578] | \"10\" | \"12\" ) \"-\" ( \"0\" [1-9] | [12] [0-9] | \"3\" [01] ) | "
     "( \"0\" [469] | \"11\" ) \"-\" ( \"0\" [1-9] | [12] [0-9] | \"30\" ) | \"02-\" ( \"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8] ) )", {}},
    {"time",
     "( [01] [0-9] | \"2\" [0-3] ) \":\" [0-5] [0-9] \":\" [0-5] [0-9] ( \".\" [0-9]{1,6} )? "
     "( \"Z\" | [-+] ( [01] [0-9] | \"2\" [0-3] ) \":\" [0-5] [0-9] )", {}},
    {"uuid", "[0-9a-fA-F]{8} \"-\" [0-9a-fA-F]{4} \"-\" [0-9a-fA-F]{4} \"-\" [0-9a-fA-F]{4} \"-\" [0-9a-fA-F]{12}", {}},
};

bool is_known_keyword(const std::string& key) {
  static const std::set<std::string> known = {
      "type", "properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems",
      "minLength", "maxLength", "pattern", "format", "enum", "const", "anyOf", "oneOf", "allOf", "$ref",
      "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
  return known.contains(key);
}

class SchemaConverter final : public SchemaRules {
 public:
  explicit SchemaConverter(const JsonValue& document) : document_(document), merger_(document) {}

  std::string convert() {
    const std::string root = visit(document_, "#", 0);
    for (size_t i = 0; i < pending_refs_.size(); ++i) {
      // Copied: visiting may append to the list.
      const auto [ref, name, path] = pending_refs_[i];
      set_rule(name, visit(merger_.resolve(ref, path), ref, 0));
    }
    std::string text = concat({"root ::= ", root, "\n"});
    for (const auto& [name, body] : rules_) text += concat({name, " ::= ", body, "\n"});
    return text;
  }

  std::string visit_schema(const JsonValue& schema, const std::string& path, int depth) override {
    return visit(schema, path, depth);
  }

  std::string common(const std::string& name) override {
    if (!common_.insert(name).second) return name;
    for (const CommonRule& rule : kCommonRules) {
      if (name != rule.name) continue;
      set_rule(name, rule.body);
      for (const char* used : rule.uses) common(used);
    }
    return name;
  }

  std::string add_rule(const std::string& hint, const std::string& body) override {
    std::string name;
    for (const char c : hint.substr(0, 32)) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      name.push_back(plain ? c : '-');
    }
    name += concat({"-", std::to_string(rules_.size())});
    set_rule(name, body);
    return name;
  }

 private:
  struct PendingRef {
    std::string ref, name, path;
  };

  void set_rule(const std::string& name, const std::string& body) {
    if (rules_.size() >= kMaxRules) throw Error(ErrorCode::kGrammar, "JSON schema is too large");
    rules_.emplace_back(name, body);
  }

  // Returns one GBNF operand.
  std::string visit(const JsonValue& schema, const std::string& path, int depth) {
    if (depth > kMaxDepth) fail_schema(path, "is nested too deeply");
    if (schema.is(Type::kBoolean)) {
      if (!schema.boolean) fail_schema(path, "the schema false allows nothing");
      return common("value");
    }
    if (!schema.is(Type::kObject)) fail_schema(path, format_text("expected a schema, got %s", schema.type_name()));
    bool other_constraints = false;
    for (const auto& [key, value] : schema.members) {
      if (is_schema_annotation(key)) continue;
      const bool harmless = key == "uniqueItems" && value.is(Type::kBoolean) && !value.boolean;
      if (harmless) continue;
      if (!is_known_keyword(key)) fail_schema(path, "keyword '" + key + "' is not supported");
      other_constraints |= key != "$ref";
    }
    const JsonValue* ref = schema.find("$ref");
    if (ref && !other_constraints && ref->is(Type::kString)) return visit_ref(ref->text, path);
    if (ref || schema.find("allOf")) return visit(merger_.flatten(schema, path), path, depth + 1);
    if (const JsonValue* any = schema.find("anyOf")) return visit_any(schema, *any, "anyOf", path, depth);
    if (const JsonValue* one = schema.find("oneOf")) return visit_any(schema, *one, "oneOf", path, depth);
    if (const JsonValue* constant = schema.find("const")) return literal(*constant);
    if (const JsonValue* values = schema.find("enum")) return visit_enum(*values, path);
    return visit_types(schema, path, depth);
  }

  std::string visit_ref(const std::string& ref, const std::string& path) {
    const auto known = ref_rules_.find(ref);
    if (known != ref_rules_.end()) return known->second;
    merger_.resolve(ref, path);
    const std::string name = format_text("ref-%zu", ref_rules_.size());
    ref_rules_.emplace(ref, name);
    pending_refs_.push_back({ref, name, path});
    return name;
  }

  // The alternatives, each together with the keywords beside them.
  std::string visit_any(const JsonValue& schema, const JsonValue& list, const std::string& keyword, const std::string& path, int depth) {
    if (!list.is(Type::kArray) || list.items.empty()) fail_schema(path, keyword + " is not a list of schemas");
    JsonValue beside(Type::kObject);
    for (const JsonValue::Member& member : schema.members)
      if (member.first != keyword && !is_schema_annotation(member.first)) beside.members.push_back(member);
    std::string body;
    for (size_t i = 0; i < list.items.size(); ++i) {
      const std::string place = format_text("%s/%s/%zu", path.c_str(), keyword.c_str(), i);
      const std::string part =
          beside.members.empty()
              ? visit(list.items[i], place, depth + 1)
              : visit(merger_.merge(merger_.flatten(list.items[i], place), beside, place), place, depth + 1);
      body += concat({i == 0 ? "" : " | ", part});
    }
    return add_rule(keyword, body);
  }

  std::string literal(const JsonValue& value) const { return gbnf_literal(write_json(value)); }

  std::string visit_enum(const JsonValue& values, const std::string& path) {
    if (!values.is(Type::kArray) || values.items.empty()) fail_schema(path, "enum is not a list of values");
    std::string body;
    for (const JsonValue& value : values.items) body += concat({body.empty() ? "" : " | ", literal(value)});
    return add_rule("enum", body);
  }

  std::string visit_types(const JsonValue& schema, const std::string& path, int depth) {
    const JsonValue* type = schema.find("type");
    if (!type) {
      const std::string guess = inferred_type(schema);
      return guess.empty() ? common("value") : visit_type(schema, guess, path, depth);
    }
    if (type->is(Type::kString)) return visit_type(schema, type->text, path, depth);
    if (!type->is(Type::kArray) || type->items.empty()) fail_schema(path, "type is neither a name nor a list of names");
    std::string body;
    for (const JsonValue& name : type->items) {
      if (!name.is(Type::kString)) fail_schema(path, "type holds something that is not a name");
      body += concat({body.empty() ? "" : " | ", visit_type(schema, name.text, path, depth)});
    }
    return add_rule("type", body);
  }

  static std::string inferred_type(const JsonValue& schema) {
    const auto any = [&](std::initializer_list<const char*> keys) {
      return std::any_of(keys.begin(), keys.end(), [&](const char* key) { return schema.find(key) != nullptr; });
    };
    if (any({"properties", "required", "additionalProperties"})) return "object";
    if (any({"items", "prefixItems", "minItems", "maxItems"})) return "array";
    if (any({"minLength", "maxLength", "pattern", "format"})) return "string";
    if (any({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})) return "number";
    return "";
  }

  std::string visit_type(const JsonValue& schema, const std::string& type, const std::string& path, int depth) {
    if (type == "object") return convert_object(*this, schema, path, depth);
    if (type == "array") return visit_array(schema, path, depth);
    if (type == "string") return visit_string(schema, path);
    if (type == "integer") return visit_integer(schema, path);
    if (type == "number") return visit_number(schema, path);
    if (type == "boolean" || type == "null") return common(type);
    fail_schema(path, "type '" + type + "' is unknown");
  }

  // A count such as minLength, or `otherwise` when the keyword is absent.
  static int64_t count(const JsonValue& schema, const char* key, int64_t otherwise, const std::string& path) {
    const JsonValue* value = schema.find(key);
    if (!value) return otherwise;
    const bool whole = value->is(Type::kNumber) && value->number >= 0 && value->number == std::floor(value->number);
    if (!whole) fail_schema(path, concat({key, " is not a count"}));
    if (value->number > 10000) fail_schema(path, concat({key, " is larger than 10000"}));
    return static_cast<int64_t>(value->number);
  }

  std::string visit_array(const JsonValue& schema, const std::string& path, int depth) {
    const int64_t least = count(schema, "minItems", 0, path), most = count(schema, "maxItems", -1, path);
    if (most >= 0 && most < least) fail_schema(path, "maxItems is less than minItems");
    const std::string space = common("space");
    if (const JsonValue* tuple = schema.find("prefixItems")) return visit_tuple(schema, *tuple, least, most, path, depth);
    const JsonValue* items = schema.find("items");
    if (items && items->is(Type::kArray)) fail_schema(path, "items is a list; use prefixItems");
    const bool no_items = most == 0 || (items && items->is(Type::kBoolean) && !items->boolean);
    if (no_items && least > 0) fail_schema(path, "minItems demands items where none are allowed");
    if (no_items) return add_rule("array", concat({"\"[\" ", space, " \"]\""}));
    const std::string item = items ? visit(*items, path + "/items", depth + 1) : common("value");
    const std::string more = concat({"( \",\" ", space, " ", item, " )"});
    const std::string rest = gbnf_repeat(more, static_cast<size_t>(std::max<int64_t>(least - 1, 0)), most < 0 ? -1 : most - 1);
    const std::string filled = concat({item, most == 1 ? "" : concat({" ", rest})});
    const std::string content = least == 0 ? concat({"( ", filled, " )?"}) : filled;
    return add_rule("array", concat({"\"[\" ", space, " ", content, " ", space, " \"]\""}));
  }

  std::string visit_tuple(const JsonValue& schema, const JsonValue& tuple, int64_t least, int64_t most, const std::string& path, int depth) {
    if (!tuple.is(Type::kArray) || tuple.items.empty()) fail_schema(path, "prefixItems is not a list of schemas");
    const int64_t n = static_cast<int64_t>(tuple.items.size());
    const JsonValue* items = schema.find("items");
    if (items && !(items->is(Type::kBoolean) && !items->boolean)) fail_schema(path, "items beside prefixItems is supported as false only");
    if (least > n || (most >= 0 && most < n)) fail_schema(path, "minItems and maxItems do not fit prefixItems");
    std::string body = concat({"\"[\" ", common("space")});
    for (int64_t i = 0; i < n; ++i) {
      const std::string place = format_text("%s/prefixItems/%lld", path.c_str(), static_cast<long long>(i));
      if (i > 0) body += concat({" \",\" ", common("space")});
      body += concat({" ", visit(tuple.items[static_cast<size_t>(i)], place, depth + 1)});
    }
    return add_rule("tuple", concat({body, " ", common("space"), " \"]\""}));
  }

  std::string visit_string(const JsonValue& schema, const std::string& path) {
    const JsonValue* pattern = schema.find("pattern");
    const JsonValue* format = schema.find("format");
    const bool sized = schema.find("minLength") || schema.find("maxLength");
    if ((pattern && format) || (sized && (pattern || format)))
      fail_schema(path, "pattern, format and minLength/maxLength cannot be combined");
    if (pattern) {
      if (!pattern->is(Type::kString)) fail_schema(path, "pattern is not a string");
      return add_rule("pattern", concat({"\"\\\"\" ( ", gbnf_from_pattern(pattern->text, common("char")), " ) \"\\\"\""}));
    }
    if (format) return visit_format(*format, path);
    if (!sized) return common("string");
    const int64_t least = count(schema, "minLength", 0, path), most = count(schema, "maxLength", -1, path);
    if (most >= 0 && most < least) fail_schema(path, "maxLength is less than minLength");
    const std::string characters = most == 0 ? "" : gbnf_repeat(common("char"), static_cast<size_t>(least), most);
    return add_rule("string", concat({"\"\\\"\" ", characters, " \"\\\"\""}));
  }

  std::string visit_format(const JsonValue& format, const std::string& path) {
    const std::string& name = format.text;
    if (name == "date" || name == "time" || name == "uuid") return add_rule(name, concat({"\"\\\"\" ", common(name), " \"\\\"\""}));
    if (name == "date-time") {
      const std::string date = common("date"), time = common("time");
      return add_rule(name, concat({"\"\\\"\" ", date, " \"T\" ", time, " \"\\\"\""}));
    }
    fail_schema(path, "format '" + name + "' is not supported; supported are date, time, date-time, uuid");
  }

  // A bound's value, or nullptr when the keyword is absent.
  static const JsonValue* bound(const JsonValue& schema, const char* key, const std::string& path) {
    const JsonValue* value = schema.find(key);
    if (value && !value->is(Type::kNumber)) fail_schema(path, concat({key, " is not a number"}));
    return value;
  }

  std::string visit_integer(const JsonValue& schema, const std::string& path) {
    double least = -kMaxInteger, most = kMaxInteger;
    const JsonValue *minimum = bound(schema, "minimum", path), *above = bound(schema, "exclusiveMinimum", path);
    const JsonValue *maximum = bound(schema, "maximum", path), *below = bound(schema, "exclusiveMaximum", path);
    if (!minimum && !above && !maximum && !below) return common("integer");
    if (minimum) least = std::max(least, std::ceil(minimum->number));
    if (above) least = std::max(least, std::floor(above->number) + 1);
    if (maximum) most = std::min(most, std::floor(maximum->number));
    if (below) most = std::min(most, std::ceil(below->number) - 1);
    if (least > most) fail_schema(path, "no integer lies between the minimum and the maximum");
    return add_rule("integer", gbnf_integer_range(static_cast<int64_t>(least), static_cast<int64_t>(most)));
  }

  std::string visit_number(const JsonValue& schema, const std::string& path) {
    double least = -kMaxInteger, most = kMaxInteger;
    NumberBounds bounds{0, 0};
    bool bounded = false;
    const auto apply = [&](const char* key, double& limit, double direction, bool exclusive, bool& is_exclusive) {
      const JsonValue* value = bound(schema, key, path);
      if (!value) return;
      bounded = true;
      if (value->number != std::floor(value->number)) fail_schema(path, concat({key, " of a number is supported for whole values only"}));
      if ((value->number - limit) * direction < 0 || (value->number == limit && !exclusive)) return;
      limit = value->number;
      is_exclusive = exclusive;
    };
    apply("minimum", least, 1, false, bounds.least_exclusive);
    apply("exclusiveMinimum", least, 1, true, bounds.least_exclusive);
    apply("maximum", most, -1, false, bounds.most_exclusive);
    apply("exclusiveMaximum", most, -1, true, bounds.most_exclusive);
    if (!bounded) return common("number");
    const bool possible = least <= most && std::fabs(least) <= kMaxInteger && std::fabs(most) <= kMaxInteger;
    bounds.least = possible ? static_cast<int64_t>(least) : 0;
    bounds.most = possible ? static_cast<int64_t>(most) : 0;
    const std::string body = possible ? gbnf_number_range(bounds) : "";
    if (body.empty()) fail_schema(path, "no number lies between the minimum and the maximum");
    return add_rule("number", body);
  }

  const JsonValue& document_;
  SchemaMerger merger_;
  std::vector<std::pair<std::string, std::string>> rules_;  // name, body
  std::set<std::string> common_;
  std::unordered_map<std::string, std::string> ref_rules_;
  std::vector<PendingRef> pending_refs_;
};

}  // namespace

std::string json_schema_to_grammar(std::string_view schema_json) {
  JsonLimits limits;
  limits.max_bytes = kMaxSchemaBytes;
  const JsonValue document = parse_json(schema_json, limits);
  return SchemaConverter(document).convert();
}

std::string json_object_grammar() { return json_schema_to_grammar(R"({"type":"object"})"); }

}  // namespace moebius
