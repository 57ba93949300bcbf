#include "sampling/json_schema_merge.h"

#include <algorithm>

#include "base/error.h"

namespace moebius {

namespace {

constexpr int kMaxDepth = 24;
constexpr size_t kMaxCopiedValues = 300'000;

using Type = JsonValue::Type;

size_t count_values(const JsonValue& value) {
  size_t n = 1;
  for (const JsonValue& item : value.items) n += count_values(item);
  for (const JsonValue::Member& member : value.members) n += count_values(member.second);
  return n;
}

JsonValue* find_member(JsonValue& object, const std::string& key) {
  for (JsonValue::Member& member : object.members)
    if (member.first == key) return &member.second;
  return nullptr;
}

std::string unescape_pointer(const std::string& part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    const bool escape = part[i] == '~' && i + 1 < part.size() && (part[i + 1] == '0' || part[i + 1] == '1');
    if (escape) out.push_back(part[++i] == '0' ? '~' : '/');
    else out.push_back(part[i]);
  }
  return out;
}

JsonValue as_list(const JsonValue& value) {
  if (value.is(Type::kArray)) return value;
  JsonValue list(Type::kArray);
  list.items.push_back(value);
  return list;
}

bool list_contains(const JsonValue& list, const JsonValue& value) {
  const std::string text = write_json(value);
  return std::any_of(list.items.begin(), list.items.end(), [&](const JsonValue& item) { return write_json(item) == text; });
}

JsonValue intersection(const JsonValue& a, const JsonValue& b) {
  JsonValue both = as_list(a);
  const JsonValue other = as_list(b);
  std::erase_if(both.items, [&](const JsonValue& item) { return !list_contains(other, item); });
  return both;
}

// An integer is a number: {"type": "number"} and {"type": "integer"} leave integer.
JsonValue type_intersection(const JsonValue& a, const JsonValue& b) {
  JsonValue both = intersection(a, b);
  const JsonValue left = as_list(a), right = as_list(b);
  JsonValue integer(Type::kString), number(Type::kString);
  integer.text = "integer";
  number.text = "number";
  const bool mixed = (list_contains(left, integer) && list_contains(right, number)) ||
                     (list_contains(left, number) && list_contains(right, integer));
  if (mixed && !list_contains(both, integer) && !list_contains(both, number)) both.items.push_back(integer);
  return both;
}

bool is_one_of(const std::string& key, std::initializer_list<const char*> keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const char* k) { return key == k; });
}

}  // namespace

void fail_schema(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::kGrammar, format_text("JSON schema at %s: %s", path.c_str(), what.c_str()));
}

bool is_schema_annotation(const std::string& key) {
  return is_one_of(key, {"title", "description", "default", "examples", "example", "$schema", "$id", "$comment",
                         "deprecated", "readOnly", "writeOnly", "$defs", "definitions"});
}

const JsonValue& SchemaMerger::resolve(const std::string& ref, const std::string& path) const {
  if (ref.empty() || ref[0] != '#') fail_schema(path, "$ref '" + ref + "' points outside the document, which is not supported");
  const JsonValue* value = &document_;
  if (ref.size() > 1 && ref[1] != '/') fail_schema(path, "$ref '" + ref + "' is not a JSON pointer");
  for (size_t at = 1; at < ref.size();) {
    const size_t end = std::min(ref.find('/', at + 1), ref.size());
    const std::string key = unescape_pointer(ref.substr(at + 1, end - at - 1));
    const JsonValue* next = nullptr;
    if (value->is(Type::kObject)) {
      next = value->find(key);
    } else if (value->is(Type::kArray) && !key.empty() && key.size() < 8 && key.find_first_not_of("0123456789") == std::string::npos) {
      const size_t index = std::stoul(key);
      next = index < value->items.size() ? &value->items[index] : nullptr;
    }
    if (!next) fail_schema(path, "$ref '" + ref + "' points to nothing");
    value = next;
    at = end;
  }
  return *value;
}

void SchemaMerger::spend(const JsonValue& value, const std::string& path) {
  spent_ += count_values(value);
  if (spent_ > kMaxCopiedValues) fail_schema(path, "allOf and $ref multiply into too large a schema");
}

JsonValue SchemaMerger::flatten(const JsonValue& schema, const std::string& path, int depth) {
  if (depth > kMaxDepth) fail_schema(path, "allOf and $ref are nested too deeply or refer to themselves");
  spend(schema, path);
  JsonValue out(Type::kObject);
  if (schema.is(Type::kBoolean) && schema.boolean) return out;
  if (!schema.is(Type::kObject)) fail_schema(path, format_text("expected a schema, got %s", schema.is(Type::kBoolean) ? "false" : schema.type_name()));
  for (const JsonValue::Member& member : schema.members)
    if (member.first != "$ref" && member.first != "allOf") out.members.push_back(member);
  if (const JsonValue* ref = schema.find("$ref")) {
    if (!ref->is(Type::kString)) fail_schema(path, "$ref is not a string");
    out = merge(std::move(out), flatten(resolve(ref->text, path), path, depth + 1), path);
  }
  if (const JsonValue* all = schema.find("allOf")) {
    if (!all->is(Type::kArray) || all->items.empty()) fail_schema(path, "allOf is not a list of schemas");
    for (const JsonValue& part : all->items) out = merge(std::move(out), flatten(part, path, depth + 1), path);
  }
  return out;
}

JsonValue SchemaMerger::merge(JsonValue a, const JsonValue& b, const std::string& path) {
  spend(b, path);
  for (const JsonValue::Member& member : b.members) merge_keyword(a, member.first, member.second, path);
  return a;
}

void SchemaMerger::merge_keyword(JsonValue& target, const std::string& key, const JsonValue& value, const std::string& path) {
  JsonValue* known = find_member(target, key);
  if (!known) {
    target.members.emplace_back(key, value);
    return;
  }
  if (is_schema_annotation(key) || write_json(*known) == write_json(value)) return;
  const auto both_are = [&](Type type) { return known->is(type) && value.is(type); };
  if (key == "properties" && both_are(Type::kObject)) {
    for (const JsonValue::Member& property : value.members) {
      JsonValue* same = find_member(*known, property.first);
      if (!same) known->members.push_back(property);
      else {
        JsonValue both(Type::kArray), all(Type::kObject);
        both.items = {*same, property.second};
        all.members.emplace_back("allOf", std::move(both));
        *same = std::move(all);
      }
    }
  } else if (key == "required" && both_are(Type::kArray)) {
    for (const JsonValue& name : value.items)
      if (!list_contains(*known, name)) known->items.push_back(name);
  } else if (key == "type") {
    *known = type_intersection(*known, value);
    if (known->items.empty()) fail_schema(path, "the types of allOf exclude each other");
  } else if (key == "enum" && both_are(Type::kArray)) {
    *known = intersection(*known, value);
    if (known->items.empty()) fail_schema(path, "the enums of allOf have no value in common");
  } else if (is_one_of(key, {"minimum", "exclusiveMinimum", "minLength", "minItems"}) && both_are(Type::kNumber)) {
    if (value.number > known->number) *known = value;
  } else if (is_one_of(key, {"maximum", "exclusiveMaximum", "maxLength", "maxItems"}) && both_are(Type::kNumber)) {
    if (value.number < known->number) *known = value;
  } else if (key == "additionalProperties" && (known->is(Type::kBoolean) || value.is(Type::kBoolean))) {
    const bool known_decides = known->is(Type::kBoolean) ? !known->boolean : value.boolean;
    if (!known_decides) *known = value;
  } else {
    fail_schema(path, "cannot merge two different values of '" + key + "'");
  }
}

}  // namespace moebius
