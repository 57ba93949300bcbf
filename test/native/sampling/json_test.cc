#include "sampling/json.h"

#include "base/error.h"
#include "native/test.h"

namespace moebius::test {
namespace {

TEST(json_reads_every_kind_of_value) {
  const JsonValue v = parse_json(R"( {"a": [1, -2.5e3, true, false, null], "b": {"c": "x\n\u00e9\ud83d\ude00\/"}} )");
  CHECK_EQ(v.members.size(), size_t{2});
  const JsonValue& list = *v.find("a");
  CHECK_EQ(list.items.size(), size_t{5});
  CHECK_NEAR(list.items[1].number, -2500, 0);
  CHECK(list.items[2].boolean && !list.items[3].boolean);
  CHECK(list.items[4].is(JsonValue::Type::kNull));
  CHECK_EQ(v.find("b")->find("c")->text, "x\né😀/");
  CHECK(v.find("missing") == nullptr);
  CHECK_EQ(write_json(v), "{\"a\":[1,-2.5e3,true,false,null],\"b\":{\"c\":\"x\\né😀/\"}}");
}

TEST(json_is_strict) {
  const auto refuse = [](const char* text, const char* message) { CHECK_THROWS(Error, message, parse_json(text)); };
  refuse("", "1:1: unexpected end");
  refuse("{\n  \"a\" 1}", "2:7: expected ':'");
  refuse("[1,]", "expected a value");
  refuse("{\"a\":1,}", "expected a key");
  refuse("[1 2]", "expected ',' or ']'");
  refuse("01", "must not start with 0");
  refuse("1.", "expected a digit");
  refuse("-", "expected a digit");
  refuse("1e999", "out of range");
  refuse("\"\\x\"", "unknown escape");
  refuse("\"\\ud800\"", "surrogate");
  refuse("\"\\udc00\"", "surrogate");
  refuse("\"a\nb\"", "control character");
  refuse("\"abc", "string without end");
  refuse("nul", "expected a value");
  refuse("1 1", "unexpected text");
  refuse("{\"a\":1,\"a\":2}", "same key twice");
  CHECK_THROWS(Error, "nested too deeply", parse_json(std::string(100000, '[')));
  CHECK_THROWS(Error, "the limit is", parse_json(std::string(100, ' '), {.max_bytes = 10, .max_depth = 4}));
}

}  // namespace
}  // namespace moebius::test
