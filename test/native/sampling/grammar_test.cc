// GBNF: what is accepted and refused, clear errors, hostile grammars, masks over tokens.
#include "sampling/grammar.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "native/test.h"

namespace moebius::test {
namespace {

void expect(const std::string& gbnf, const std::vector<std::string>& good, const std::vector<std::string>& bad) {
  const auto grammar = Grammar::parse(gbnf);
  for (const std::string& text : good)
    if (!grammar_accepts(grammar, text)) fail(__FILE__, __LINE__, gbnf + " refuses '" + text + "'");
  for (const std::string& text : bad)
    if (grammar_accepts(grammar, text)) fail(__FILE__, __LINE__, gbnf + " accepts '" + text + "'");
}

TEST(literals_alternatives_and_groups) {
  expect("root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "y", "yesno", "Yes"});
  expect("root ::= (\"a\" | \"b\") \"c\"", {"ac", "bc"}, {"a", "c", "abc"});
  expect("root ::= a b\na ::= \"x\"\nb ::= \"y\" | a", {"xy", "xx"}, {"x", "yx"});
  expect("root ::= \"a\" |", {"a", ""}, {"aa"});
  expect("root ::= \"\"", {""}, {"a"});
}

TEST(repetitions) {
  expect("root ::= \"a\"*", {"", "a", "aaaaaa"}, {"b", "ab"});
  expect("root ::= \"a\"+", {"a", "aaa"}, {"", "b"});
  expect("root ::= \"a\"?\"b\"", {"b", "ab"}, {"aab"});
  expect("root ::= \"ab\"{2}", {"abab"}, {"ab", "ababab", "abb"});
  expect("root ::= [a-c]{2,}", {"ab", "abcabc"}, {"a", "abd"});
  expect("root ::= [a-c]{1,3}", {"a", "abc"}, {"", "abca"});
  expect("root ::= \"a\"{0,2} \"b\"{,1}", {"", "aa", "b", "aab"}, {"aaa", "bb"});
  expect("root ::= \"a\"{0} \"b\"", {"b"}, {"ab"});
  expect("root ::= (\"a\" \"b\"?)+", {"a", "ab", "aba"}, {"b", "abb"});
}

TEST(character_classes_and_escapes) {
  expect("root ::= [^a-z]", {"A", "é", "好", "\n"}, {"a", "m", "", "AB"});
  expect("root ::= [\\x41-\\x43\\u00e9\\U0001F600]", {"A", "C", "é", "😀"}, {"D", "e"});
  expect("root ::= \"\\n\\t\\r\\\\\\\"\\x41\\u00e9\"", {"\n\t\r\\\"Aé"}, {"A"});
  expect("root ::= [\\]\\[^\\-]+", {"]", "[", "^-"}, {"a"});
  expect("root ::= [a-]", {"a", "-"}, {"b"});
  expect("root ::= .", {"a", "é", "好", "😀", "\n"}, {"", "ab", "\xFF", "\xC3"});
  expect("root ::= [一-龥]+", {"你好"}, {"a", "ぁ"});
  // A range over several UTF-8 lengths.
  expect("root ::= [\\x20-\\U0010FFFF]", {" ", "\x7F", "\xC2\x80", "߿", "ࠀ", "\xEF\xBF\xBF", "𐀀", "\xF4\x8F\xBF\xBF"},
         {"\x1F", "\xED\xA0\x80", "\xC1\x81", "\xF4\x90\x80\x80"});
}

TEST(layout_and_comments) {
  expect("# first\nroot ::= # why\n  \"a\" # x\n\n  \n other::=\"b\"", {"a"}, {"b"});
  expect("root ::= \"a\" |\n  \"b\" |\n  \"c\"\n", {"a", "b", "c"}, {"d"});
  expect("root ::= \"a\" # one\n  # two\n  | \"b\"\n\nc ::= \"d\"", {"a", "b"}, {"d"});
  expect("root ::= (\n  \"a\"\n  \"b\"\n)\r\n", {"ab"}, {"a"});
  expect("root ::= my-rule_2\nmy-rule_2 ::= \"z\"", {"z"}, {"y"});
}

// A grammar in the style people bring along.
TEST(a_whole_json_grammar) {
  expect(R"(# JSON with some white space
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)",
         {"{}", "{ \"a\": [1, -2.5e+3, \"x\\n\\u00e9\", {}],\n  \"b\": null }"}, {"[]", "{\"a\" 1}", "{\"a\":01}", "{"});
}

TEST(recursion_right_and_nested) {
  expect("root ::= \"(\" root \")\" | \"x\"", {"x", "((x))"}, {"(x", "()"});
  const std::string deep = std::string(5000, '(') + "x" + std::string(5000, ')');
  CHECK(grammar_accepts(Grammar::parse("root ::= \"(\" root \")\" | \"x\""), deep));
  expect("root ::= \"a\" root | \"b\"", {"b", "aaab"}, {"aaa"});
}

TEST(errors_say_where) {
  const auto refuse = [](const std::string& gbnf, const char* text) { CHECK_THROWS(Error, text, Grammar::parse(gbnf)); };
  refuse("", "no rule called root");
  refuse("other ::= \"a\"", "no rule called root");
  refuse("root = \"a\"", "1:6: expected '::='");
  refuse("root ::= \"a", "1:12: literal without closing quote");
  refuse("root ::= \"a\nb\"", "literal without closing quote");
  refuse("root ::= [a", "character class without ']'");
  refuse("root ::= [z-a]", "1:11: character range runs backwards");
  refuse("root ::= []", "matches nothing");
  refuse("root ::= (\"a\"", "expected ')'");
  refuse("root ::= \"a\")", "1:13: expected a line end");
  refuse("root ::= * \"a\"", "1:10: nothing to repeat");
  refuse("root ::= \"a\"{3,2}", "maximum is less than its minimum");
  refuse("root ::= \"a\"{}", "expected a repetition count");
  refuse("root ::= \"a\"{99999}", "larger than 10000");
  refuse("root ::= \"\\q\"", "unknown escape");
  refuse("root ::= \"\\x4\"", "expected 2 hexadecimal digits");
  refuse("root ::= \"\\uD800\"", "not a Unicode character");
  refuse("root ::= \"\xFF\"", "invalid UTF-8");
  refuse("root ::= \"a\"\n  missing-rule", "expected '::='");
  refuse("root ::= \"a\" b\n", "1:14: rule 'b' is used but not defined");
  refuse("root ::= \"a\"\nroot ::= \"b\"", "2:1: rule 'root' is defined twice");
  refuse("root ::= ~", "1:10");
  refuse("root ::= \"a\\", "");
}

TEST(left_recursion_is_found) {
  const auto refuse = [](const std::string& gbnf) { CHECK_THROWS(Error, "left-recursive", Grammar::parse(gbnf)); };
  refuse("root ::= root \"a\" | \"a\"");
  refuse("root ::= a\na ::= b \"x\" | \"y\"\nb ::= a");
  refuse("root ::= e root | \"a\"\ne ::= \"x\" |");
  refuse("root ::= (\"a\"?)*");
  refuse("root ::= unused-rule | \"a\"\nunused-rule ::= \"\" unused-rule");
}

TEST(hostile_grammars_end_in_time) {
  CHECK_THROWS(Error, "nested too deeply", Grammar::parse("root ::= " + std::string(5000, '(') + "\"a\"" + std::string(5000, ')')));
  CHECK_THROWS(Error, "too large", Grammar::parse("root ::= " + [] {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "[a-z]{9000} ";
    return text;
  }()));
  CHECK_THROWS(Error, "the limit is", Grammar::parse(std::string(2 * 1024 * 1024, ' ')));
  // Nested repetition multiplies texts, not the grammar.
  const auto nested = Grammar::parse("root ::= (((\"a\"{10000}){10000}){10000})");
  CHECK(!grammar_accepts(nested, "aaaa"));
  // 2^n stacks after n characters.
  const auto ambiguous = Grammar::parse("root ::= \"a\" root \"x\" | \"a\" root \"y\" | \"b\"");
  CHECK(grammar_accepts(ambiguous, "aaabxyx"));
  CHECK_THROWS(Error, "too ambiguous", grammar_accepts(ambiguous, std::string(64, 'a')));
  // A chain of rules far deeper than the call stack.
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 30000; ++i)
    chain.append("r").append(std::to_string(i)).append(" ::= r").append(std::to_string(i + 1)).append("\n");
  CHECK(grammar_accepts(Grammar::parse(chain + "r30000 ::= \"a\"\n"), "a"));
  CHECK_THROWS(Error, "left-recursive", Grammar::parse(chain + "r30000 ::= r0 \"a\"\n"));
}

// Tokens: every byte, some words, one end token (256).
std::shared_ptr<const TokenTable> byte_tokens() {
  std::vector<std::string> bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  bytes.emplace_back("");  // 256: end
  for (const char* word : {"yes", "ye", "no", "none", "\xE4\xBD", "\xA0", "\xBD\xA0x", "\xE4\xBD\xA0", "yes!"}) bytes.emplace_back(word);
  bytes.emplace_back("");  // a control token
  return std::make_shared<const TokenTable>(std::move(bytes), std::vector<int32_t>{256});
}

std::string allowed(TokenConstraint& constraint, const TokenTable& table) {
  std::vector<float> logits(static_cast<size_t>(table.vocab_size()) + 3, 0.0f);
  constraint.mask(logits);
  std::string text;
  for (size_t id = 0; id < logits.size(); ++id) {
    const bool kept = logits[id] == 0.0f;
    const int32_t token = static_cast<int32_t>(id);
    CHECK_EQ(kept, constraint.allows(token));
    if (!kept) continue;
    if (!text.empty()) text += ' ';
    text += token == 256 ? "END" : std::string(table.bytes(token));
  }
  return text;
}

TEST(masks_allow_exactly_what_fits) {
  const auto table = byte_tokens();
  const auto constraint = make_grammar_constraint(Grammar::parse("root ::= \"yes\" \"!\"? | \"no\" | \"你x\""), table);
  CHECK_EQ(allowed(*constraint, *table), "n y \xE4 yes ye no \xE4\xBD \xE4\xBD\xA0 yes!");
  CHECK(!constraint->is_complete());
  const auto partial = constraint->clone();
  partial->accept('\xE4' & 0xFF);
  CHECK_EQ(allowed(*partial, *table), "\xBD \xBD\xA0x");
  constraint->accept(258);  // "ye"
  CHECK_EQ(allowed(*constraint, *table), "s");
  CHECK_THROWS(Error, "does not allow token 256", constraint->accept(256));
  constraint->accept('s');
  CHECK(constraint->is_complete());
  CHECK_EQ(allowed(*constraint, *table), "! END");
  constraint->accept('!');
  CHECK_EQ(allowed(*constraint, *table), "END");
  CHECK_THROWS(Error, "does not allow", constraint->accept('!'));
  CHECK_THROWS(Error, "does not allow", constraint->accept(266));
  constraint->accept(256);
  CHECK_EQ(allowed(*constraint, *table), "END");
  constraint->reset();
  CHECK_EQ(allowed(*constraint, *table), "n y \xE4 yes ye no \xE4\xBD \xE4\xBD\xA0 yes!");
}

TEST(a_vocabulary_without_the_needed_token_is_an_error) {
  const auto table = std::make_shared<const TokenTable>(std::vector<std::string>{"a", "b"}, std::vector<int32_t>{});
  const auto constraint = make_grammar_constraint(Grammar::parse("root ::= \"ac\""), table);
  std::vector<float> logits(2);
  constraint->mask(logits);
  constraint->accept(0);
  CHECK_THROWS(Error, "no token of the model can continue", constraint->mask(logits));
}

TEST(long_answers_renew_the_machine) {
  const auto table = byte_tokens();
  // Every step is a new state: the number of open brackets.
  const auto constraint = make_grammar_constraint(Grammar::parse("root ::= \"(\" root \")\" | \"x\""), table);
  const auto early = constraint->clone();
  for (int i = 0; i < 30000; ++i) constraint->accept('(');
  const auto middle = constraint->clone();
  constraint->accept('x');
  for (int i = 0; i < 30000; ++i) constraint->accept(')');
  CHECK(constraint->is_complete());
  CHECK(!middle->is_complete());
  CHECK(middle->allows('x') && middle->allows('('));
  early->accept('x');
  CHECK(early->is_complete());
}

TEST(masking_a_large_vocabulary_is_fast) {
  std::vector<std::string> bytes;
  for (int i = 0; i < 128000; ++i) {
    std::string word;
    for (int value = i; value > 0; value /= 26) word.push_back(static_cast<char>('a' + value % 26));
    bytes.push_back(i % 3 == 0 ? " " + word : word);
  }
  bytes.emplace_back("\"");
  const auto table = std::make_shared<const TokenTable>(std::move(bytes), std::vector<int32_t>{});
  const auto constraint = make_grammar_constraint(Grammar::parse("root ::= \"\\\"\" [^\"]{1,10000} \"\\\"\""), table);
  std::vector<float> logits(static_cast<size_t>(table->vocab_size()));
  constraint->accept(128000);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    constraint->mask(logits);
    constraint->accept(1 + i);  // another state each time
  }
  const double milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count() / 20;
  CHECK(milliseconds < 100);  // about 2 ms on one ordinary core; sanitizers are slow
}

}  // namespace
}  // namespace moebius::test
