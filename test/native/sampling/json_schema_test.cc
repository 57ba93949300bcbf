// JSON schemas: what the grammars accept and refuse, unsupported keywords by name, and random
// answers drawn under the grammar, checked by an independent validator.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <regex>

#include "base/error.h"
#include "native/test.h"
#include "sampling/grammar.h"
#include "sampling/json.h"
#include "sampling/sampler.h"

namespace moebius::test {
namespace {

using Type = JsonValue::Type;

void expect(const std::string& schema, const std::vector<std::string>& good, const std::vector<std::string>& bad) {
  const auto grammar = Grammar::parse(json_schema_to_grammar(schema));
  for (const std::string& text : good)
    if (!grammar_accepts(grammar, text)) fail(__FILE__, __LINE__, schema + " refuses " + text);
  for (const std::string& text : bad)
    if (grammar_accepts(grammar, text)) fail(__FILE__, __LINE__, schema + " accepts " + text);
}

TEST(schema_primitive_types) {
  expect(R"({"type":"string"})", {R"("")", R"("a\n\u00e9 好\"")"}, {"a", R"("a)", "\"\n\"", R"("\x")", R"("\ud800")", "1"});
  expect(R"({"type":"integer"})", {"0", "-5", "123"}, {"01", "1.0", "", "+1", "1e5"});
  expect(R"({"type":"number"})", {"0", "-5.25", "1e5", "2.5E-3"}, {"01", ".5", "1.", "NaN"});
  expect(R"({"type":"boolean"})", {"true", "false"}, {"True", "null"});
  expect(R"({"type":"null"})", {"null"}, {"nil", ""});
  expect(R"({"type":["string","null"]})", {"null", R"("x")"}, {"1"});
  expect("true", {"1", "[]", R"({"a":[null]})"}, {"", "{a:1}"});
  expect("{}", {"1", R"("x")"}, {"x"});
}

TEST(schema_string_limits_patterns_and_formats) {
  expect(R"({"type":"string","minLength":2,"maxLength":3})", {R"("ab")", R"("好好好")", R"("a\n")"}, {R"("a")", R"("abcd")"});
  expect(R"({"type":"string","maxLength":0})", {R"("")"}, {R"("a")"});
  expect(R"({"pattern":"^[A-Z]{2}-\\d+$"})", {R"("AB-1")", R"("XY-123")"}, {R"("AB-")", R"("ab-1")", R"("AB-1x")"});
  expect(R"({"pattern":"b+"})", {R"("abbc")", R"("b")"}, {R"("ac")", R"("")"});
  expect(R"({"pattern":"^(a|b(?:c|d)?)*$"})", {R"("")", R"("abcbd")"}, {R"("c")"});
  expect(R"({"pattern":"^\"\\\\.$"})", {R"("\"\\x")", R"("\"\\\"")"}, {R"("""x")"});
  expect(R"({"pattern":"^[^a-c\\s]\\w\\.$"})", {R"("x_.")", R"("\"0.")"}, {R"("a_.")", R"("x-.")", R"("x_x")"});
  expect(R"({"format":"date"})", {R"("2024-02-28")", R"("1999-12-31")"}, {R"("2024-13-01")", R"("2024-02-30")", R"("2024-04-31")", R"("24-01-01")"});
  expect(R"({"format":"time"})", {R"("23:59:59Z")", R"("00:00:00.25+02:00")"}, {R"("24:00:00Z")", R"("12:00Z")"});
  expect(R"({"format":"date-time"})", {R"("2024-01-31T12:00:00Z")"}, {R"("2024-01-31 12:00:00Z")"});
  expect(R"({"format":"uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {R"("123e4567")"});
}

TEST(schema_integer_ranges) {
  const auto check_range = [](int64_t least, int64_t most) {
    const std::string schema = R"({"type":"integer","minimum":)" + std::to_string(least) + R"(,"maximum":)" + std::to_string(most) + "}";
    const auto grammar = Grammar::parse(json_schema_to_grammar(schema));
    for (int64_t value = least - 150; value <= most + 150; ++value)
      if (grammar_accepts(grammar, std::to_string(value)) != (value >= least && value <= most))
        fail(__FILE__, __LINE__, schema + " is wrong about " + std::to_string(value));
  };
  check_range(0, 9);
  check_range(1, 100);
  check_range(7, 1234);
  check_range(-25, 318);
  check_range(-120, -7);
  check_range(99, 100);
  check_range(5, 5);
  expect(R"({"type":"integer","exclusiveMinimum":0})", {"1", "999999"}, {"0", "-1", "00"});
  expect(R"({"type":"integer","exclusiveMaximum":10,"minimum":2.5})", {"3", "9"}, {"2", "10"});
}

TEST(schema_number_ranges) {
  struct Range {
    const char* keywords;
    double least, most;
    bool least_exclusive, most_exclusive;
  };
  const Range ranges[] = {{R"("minimum":0,"maximum":1)", 0, 1, false, false},
                          {R"("exclusiveMinimum":0,"exclusiveMaximum":3)", 0, 3, true, true},
                          {R"("minimum":-2,"maximum":2)", -2, 2, false, false},
                          {R"("exclusiveMinimum":-2,"maximum":0)", -2, 0, true, false},
                          {R"("minimum":-12,"exclusiveMaximum":-3)", -12, -3, false, true},
                          {R"("minimum":-1,"exclusiveMaximum":0)", -1, 0, false, true},
                          {R"("minimum":5,"exclusiveMinimum":4,"maximum":112)", 5, 112, false, false},
                          {R"("minimum":7,"maximum":7)", 7, 7, false, false},
                          {R"("minimum":3)", 3, 1e9, false, false}};
  for (const Range& range : ranges) {
    const std::string schema = std::string(R"({"type":"number",)") + range.keywords + "}";
    const auto grammar = Grammar::parse(json_schema_to_grammar(schema));
    for (int hundredths = -1400; hundredths <= 11400; ++hundredths) {
      const double value = hundredths / 100.0;
      const bool inside = (range.least_exclusive ? value > range.least : value >= range.least) &&
                          (range.most_exclusive ? value < range.most : value <= range.most);
      char text[32];
      std::snprintf(text, sizeof(text), "%.2f", value);
      if (grammar_accepts(grammar, text) != inside) fail(__FILE__, __LINE__, schema + " is wrong about " + text);
      if (hundredths % 100 == 0 && grammar_accepts(grammar, std::to_string(hundredths / 100)) != inside)
        fail(__FILE__, __LINE__, schema + " is wrong about " + std::to_string(hundredths / 100));
    }
  }
}

TEST(schema_objects) {
  const std::string schema = R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"null"}},"required":["b"]})";
  expect(schema, {R"({"b":"x"})", R"({"a":1,"b":"x"})", R"({"b":"x","c":null})", R"({ "a": 1, "b": "x", "c": null })", "{\n  \"b\": \"x\"\n}"},
         {"{}", R"({"a":1})", R"({"b":"x","a":1})", R"({"b":"x",})", R"({"b":"x","d":1})", R"({"b":1})"});
  expect(R"({"type":"object","properties":{"a":{},"b":{}}})", {"{}", R"({"a":1})", R"({"b":2})", R"({"a":1,"b":[2]})"}, {R"({,"a":1})", R"({"a":1 "b":2})"});
  expect(R"({"type":"object"})", {"{}", R"({"x":{"y":[1]}})"}, {"[]"});
  expect(R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"});
  expect(R"({"additionalProperties":{"type":"integer"}})", {"{}", R"({"a":1,"b":2})"}, {R"({"a":"x"})"});
  // Additional keys must not be those of the properties, whose schema they would escape.
  expect(R"({"properties":{"ab":{"type":"integer"},"a\"":{}},"required":["ab"],"additionalProperties":{"type":"string"}})",
         {R"({"ab":1})", R"({"ab":1,"a":"x"})", R"({"ab":1,"abc":"x","":"y","b\n":"z"})"},
         {R"({"ab":1,"ab":"x"})", R"({"ab":"x"})", R"({"ab":1,"\u0061b":"x"})"});
  expect(R"({"type":"object","required":["k"],"additionalProperties":true})", {R"({"k":1})", R"({"k":1,"l":2})"}, {"{}", R"({"l":2})"});
}

TEST(schema_arrays) {
  expect(R"({"type":"array","items":{"type":"integer"}})", {"[]", "[1]", "[1, 2,3]"}, {"[1,]", "[\"a\"]", "[1 2]"});
  expect(R"({"items":{"type":"null"},"minItems":1,"maxItems":2})", {"[null]", "[null,null]"}, {"[]", "[null,null,null]"});
  expect(R"({"items":{"type":"null"},"minItems":3})", {"[null,null,null]", "[null,null,null,null]"}, {"[null,null]"});
  expect(R"({"items":{"type":"null"},"maxItems":1})", {"[]", "[null]"}, {"[null,null]"});
  expect(R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"});
  expect(R"({"prefixItems":[{"type":"integer"},{"type":"string"}]})", {R"([1,"a"])"}, {"[1]", R"(["a",1])", R"([1,"a",2])"});
}

TEST(schema_combinations) {
  expect(R"({"enum":["a",1,null,{"k":[true]}]})", {R"("a")", "1", "null", R"({"k":[true]})"}, {"\"b\"", "2"});
  expect(R"({"const":"x\"y"})", {R"("x\"y")"}, {R"("x")"});
  expect(R"({"anyOf":[{"type":"integer"},{"type":"null"}]})", {"1", "null"}, {"\"a\""});
  expect(R"({"type":"object","properties":{"a":{"type":"integer"}},"oneOf":[{"required":["a"]},{"properties":{"b":{"type":"null"}},"required":["b"]}]})",
         {R"({"a":1})", R"({"b":null,"a":1})", R"({"b":null})"}, {"{}"});
  expect(R"({"allOf":[{"properties":{"a":{"type":"integer","minimum":3}},"required":["a"]},{"properties":{"a":{"maximum":5},"b":{"type":"null"}},"required":["b"]}]})",
         {R"({"a":3,"b":null})", R"({"a":5,"b":null})"}, {R"({"a":6,"b":null})", R"({"a":3})"});
  expect(R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v","next"]}}})",
         {R"({"v":1,"next":{"v":2,"next":null}})"}, {R"({"v":1})", R"({"v":1,"next":{}})"});
  expect(R"({"definitions":{"a/b~c":{"type":"null"}},"items":{"$ref":"#/definitions/a~1b~0c"}})", {"[null]"}, {"[1]"});
  expect(R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]"});
  expect(R"({"$defs":{"p":{"properties":{"x":{"type":"integer"}},"required":["x"]}},"$ref":"#/$defs/p","properties":{"y":{"type":"null"}},"description":"both"})",
         {R"({"y":null,"x":1})", R"({"x":1})"}, {R"({"y":null})"});
}

TEST(unsupported_schemas_are_named) {
  const auto refuse = [](const std::string& schema, const char* text) { CHECK_THROWS(Error, text, Grammar::parse(json_schema_to_grammar(schema))); };
  refuse(R"({"properties":{"a":{"not":{}}}})", "#/properties/a: keyword 'not' is not supported");
  refuse(R"({"items":{"multipleOf":2}})", "#/items: keyword 'multipleOf'");
  refuse(R"({"type":"object","patternProperties":{}})", "patternProperties");
  refuse(R"({"uniqueItems":true})", "uniqueItems");
  refuse(R"({"type":"number","minimum":0.5})", "minimum of a number is supported for whole values only");
  refuse(R"({"type":"number","minimum":1,"exclusiveMaximum":1})", "no number");
  refuse(R"({"type":"number","minimum":1,"maximum":0})", "no number");
  refuse(R"({"format":"ipv4"})", "format 'ipv4'");
  refuse(R"({"type":"strnig"})", "type 'strnig' is unknown");
  refuse(R"({"$ref":"other.json"})", "outside the document");
  refuse(R"({"$ref":"#/$defs/x"})", "points to nothing");
  refuse("false", "allows nothing");
  refuse("[1]", "expected a schema, got array");
  refuse(R"({"minItems":3,"maxItems":2})", "maxItems is less");
  refuse(R"({"minLength":-1})", "minLength is not a count");
  refuse(R"({"maxLength":99999999})", "larger than 10000");
  refuse(R"({"type":"integer","minimum":3,"maximum":2})", "no integer");
  refuse(R"({"enum":[]})", "enum");
  refuse(R"({"allOf":[{"type":"string"},{"type":"null"}]})", "exclude each other");
  refuse(R"({"properties":{"a":{}},"required":["b"]})", "required property 'b'");
  refuse(R"_({"pattern":"(?=a)"})_", "(?:...)");
  refuse(R"({"pattern":"a\\1"})", "escape \\1");
  refuse(R"({"pattern":"[a"})", "without ']'");
  refuse(R"({"pattern":"a$b"})", "anchor");
  refuse(R"({"pattern":"(a"})", "without ')'");
  refuse(R"({"pattern":"a*?"})", "lazy");
  refuse(R"({"$ref":"#"})", "left-recursive");
  refuse(R"({"allOf":[{"$ref":"#"}]})", "nested too deeply");
  refuse(R"({"type":)", "JSON 1:9");
}

TEST(hostile_schemas_end_in_time) {
  std::string doubling = R"({"$defs":{"d0":{"type":"integer"})";
  for (int i = 1; i < 60; ++i) {
    const std::string name = std::to_string(i), before = std::to_string(i - 1);
    doubling.append(",\"d").append(name).append("\":{\"allOf\":[{\"$ref\":\"#/$defs/d").append(before);
    doubling.append("\"},{\"$ref\":\"#/$defs/d").append(before).append("\"}]}");
  }
  CHECK_THROWS(Error, "JSON schema at", json_schema_to_grammar(doubling + R"(},"$ref":"#/$defs/d59"})"));
  std::string chain = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 3000; ++i)
    chain.append("\"d").append(std::to_string(i)).append("\":{\"items\":{\"$ref\":\"#/$defs/d").append(std::to_string(i + 1)).append("\"}},");
  chain += R"("d3000":{"type":"null"}}})";
  CHECK(grammar_accepts(Grammar::parse(json_schema_to_grammar(chain)), "[[]]"));
  CHECK_THROWS(Error, "nested too deeply", json_schema_to_grammar(std::string(10000, '[')));
  CHECK_THROWS(Error, "too long", json_schema_to_grammar("{\"properties\":{\"" + std::string(5000, 'a') + "\":{}},\"additionalProperties\":true}"));
}

// A validator of its own, for the schemas drawn below.
bool valid(const JsonValue& value, const JsonValue& schema, const JsonValue& document);

bool valid_type(const JsonValue& value, const std::string& type) {
  if (type == "integer") return value.is(Type::kNumber) && value.number == std::floor(value.number);
  return type == value.type_name();
}

bool valid_object(const JsonValue& value, const JsonValue& schema, const JsonValue& document) {
  const JsonValue* properties = schema.find("properties");
  if (const JsonValue* required = schema.find("required"))
    for (const JsonValue& name : required->items)
      if (!value.find(name.text)) return false;
  return std::all_of(value.members.begin(), value.members.end(), [&](const JsonValue::Member& member) {
    const JsonValue* property = properties ? properties->find(member.first) : nullptr;
    if (property) return valid(member.second, *property, document);
    const JsonValue* additional = schema.find("additionalProperties");
    if (!additional) return properties == nullptr;
    return additional->is(Type::kBoolean) ? additional->boolean : valid(member.second, *additional, document);
  });
}

bool valid(const JsonValue& value, const JsonValue& schema, const JsonValue& document) {
  if (const JsonValue* ref = schema.find("$ref")) return valid(value, *document.find("$defs")->find(ref->text.substr(8)), document);
  if (const JsonValue* any = schema.find("anyOf"))
    return std::any_of(any->items.begin(), any->items.end(), [&](const JsonValue& s) { return valid(value, s, document); });
  if (const JsonValue* values = schema.find("enum"))
    return std::any_of(values->items.begin(), values->items.end(), [&](const JsonValue& v) { return write_json(v) == write_json(value); });
  const JsonValue* type = schema.find("type");
  if (type && !valid_type(value, type->text)) return false;
  const auto within = [&](const char* least, const char* most, double size) {
    const JsonValue *low = schema.find(least), *high = schema.find(most);
    return (!low || size >= low->number) && (!high || size <= high->number);
  };
  if (value.is(Type::kNumber)) return within("minimum", "maximum", value.number);
  if (value.is(Type::kObject)) return valid_object(value, schema, document);
  if (value.is(Type::kArray)) {
    const JsonValue* items = schema.find("items");
    return within("minItems", "maxItems", static_cast<double>(value.items.size())) &&
           (!items || std::all_of(value.items.begin(), value.items.end(), [&](const JsonValue& v) { return valid(v, *items, document); }));
  }
  if (value.is(Type::kString)) {
    const auto characters = std::count_if(value.text.begin(), value.text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    const JsonValue* pattern = schema.find("pattern");
    return within("minLength", "maxLength", static_cast<double>(characters)) &&
           (!pattern || std::regex_search(value.text, std::regex(pattern->text)));
  }
  return true;
}

std::shared_ptr<const TokenTable> tokens() {
  std::vector<std::string> bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  for (const char* word : {"\":", "\",", "\"}", "{\"", "[\"", "},", "]}", "\": \"", "name", "null", "true", "12", "4.5", "é", "好", " \"", "0,"})
    bytes.emplace_back(word);
  bytes.emplace_back("");
  const int32_t end = static_cast<int32_t>(bytes.size()) - 1;
  return std::make_shared<const TokenTable>(std::move(bytes), std::vector<int32_t>{end});
}

// Draws an answer with random logits; from the 150th token on it is pushed to its end.
std::string draw(const std::shared_ptr<const Grammar>& grammar, const std::shared_ptr<const TokenTable>& table, uint64_t seed) {
  SamplerSettings settings;
  settings.seed = seed;
  settings.sampling_top_k = 0;
  settings.top_p = 1;
  settings.min_p = 0;
  Sampler sampler(settings, table->vocab_size(), nullptr, make_grammar_constraint(grammar, table));
  std::mt19937 random(static_cast<uint32_t>(seed));
  const int32_t end = table->vocab_size() - 1;
  std::string text;
  for (int position = 0; position < 3000; ++position) {
    std::vector<float> logits(static_cast<size_t>(table->vocab_size()));
    for (float& logit : logits) logit = static_cast<float>(random() % 1000) / 300.0f;
    if (position > 150)
      for (const char closing : {'"', ']', '}'}) logits[static_cast<size_t>(closing)] += 30;
    if (position > 150) logits[static_cast<size_t>(end)] += 60;
    const int32_t id = sampler.sample(logits, position).id;
    sampler.accept(id);
    if (id == end) return text;
    text += table->bytes(id);
  }
  return text;
}

TEST(random_answers_satisfy_their_schema) {
  const auto table = tokens();
  const std::vector<std::string> schemas = {
      R"({"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":8},"age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"enum":["a","b","好"]},"maxItems":3},"ok":{"type":"boolean"}},"required":["name","age"]})",
      R"({"type":"array","items":{"anyOf":[{"type":"integer","minimum":-20,"maximum":-3},{"type":"string","pattern":"^[a-f]{2,4}x?$"},{"type":"null"}]},"minItems":2,"maxItems":5})",
      R"({"$defs":{"tree":{"type":"object","properties":{"v":{"type":"number"},"kids":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":2}},"required":["v"]}},"$ref":"#/$defs/tree"})",
      R"({"type":"object","properties":{"a":{"type":"null"}},"additionalProperties":{"type":"boolean"}})",
      R"({"type":"object"})"};
  for (const std::string& text : schemas) {
    const JsonValue schema = parse_json(text);
    const auto grammar = Grammar::parse(json_schema_to_grammar(text));
    int distinct = 0;
    std::string last;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const std::string answer = draw(grammar, table, seed);
      distinct += answer != last;
      last = answer;
      try {
        if (!valid(parse_json(answer), schema, schema)) fail(__FILE__, __LINE__, text + " does not hold for " + answer);
      } catch (const Error& error) {
        // A grammar cannot know which additional keys it has written before.
        if (std::string(error.what()).find("same key twice") == std::string::npos) fail(__FILE__, __LINE__, answer + ": " + error.what());
      }
    }
    CHECK(distinct > 20);
  }
}

TEST(the_same_seed_gives_the_same_answer) {
  const auto grammar = Grammar::parse(json_object_grammar());
  CHECK_EQ(draw(grammar, tokens(), 3), draw(grammar, tokens(), 3));
}

}  // namespace
}  // namespace moebius::test
