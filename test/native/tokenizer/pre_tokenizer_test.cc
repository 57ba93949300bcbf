// Word splitting against the tokenizers library's regular expressions and by hand.
#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "native/test.h"
#include "native/tokenizer/gguf_vocabulary.h"
#include "sampling/json.h"
#include "tokenizer/unicode.h"

namespace moebius::test {
namespace {

std::vector<std::string> words(const std::string& pre, const std::string& text) {
  std::vector<std::string> out;
  split_words(find_pre_tokenizer(pre)->stages, text, [&](std::string_view word) { out.emplace_back(word); });
  return out;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text.append("<").append(part).append(">");
  return text;
}

TEST(splits_equal_the_tokenizers_library) {
  const JsonValue golden = parse_json(read_file(find_golden("tokenizers/pre-tokenizer-splits.json")));
  const JsonValue& texts = *golden.find("texts");
  CHECK_EQ(texts.items.size(), size_t{400});
  for (const auto& [pre, all_cuts] : golden.find("cuts")->members) {
    int wrong = 0;
    for (size_t i = 0; i < texts.items.size(); ++i) {
      const std::string& text = texts.items[i].text;
      std::vector<std::string> expected;
      size_t at = 0, character = 0;
      for (const JsonValue& cut : all_cuts.items[i].items) {
        const size_t begin = at;
        for (; character < static_cast<size_t>(cut.number); ++character) at += decode_utf8(text, at).bytes;
        expected.push_back(text.substr(begin, at - begin));
      }
      const auto got = words(pre, text);
      if (got == expected || ++wrong > 3) continue;
      fail(__FILE__, __LINE__, pre + ": got " + joined(got) + ", expected " + joined(expected));
    }
    CHECK_EQ(wrong, 0);
  }
}

TEST(splits_by_hand) {
  CHECK_EQ(joined(words("gpt-2", "Hello  world's 123!\n")), "<Hello>< >< world><'s>< 123><!><\n>");
  CHECK_EQ(joined(words("llama-bpe", "It'S 12345\r\n\n x")), "<It><'S>< ><123><45><\r\n\n>< x>");
  CHECK_EQ(joined(words("deepseek-llm", "Hi there,  你好\nx 42 ")), "<Hi>< there><,><  ><你好><\n><x>< ><42>< >");
  CHECK_EQ(joined(words("deepseek-coder", "Hi, 你好 42")), "<Hi><,>< ><你好>< ><4><2>");
  CHECK_EQ(joined(words("default", "a1234, b")), "<a><123><4><,>< b>");
  CHECK_EQ(joined(words("falcon", "x`y 1234")), "<x><`><y>< ><123><4>");
}

TEST(invalid_bytes_count_as_symbols) {
  for (const std::string& pre : pre_tokenizer_names()) {
    std::string text = "a\xFF\xC3(\x80 \xF0\x9F\x98 b", together;
    for (const std::string& word : words(pre, text)) {
      CHECK(!word.empty());
      together += word;
    }
    CHECK_EQ(together, text);
  }
}

TEST(names_are_sorted_and_unknown_ones_refused) {
  const auto names = pre_tokenizer_names();
  CHECK(std::is_sorted(names.begin(), names.end()));
  for (const char* name : {"llama-bpe", "deepseek-llm", "deepseek-coder", "deepseek-v3", "deepseek-r1-qwen", "qwen2", "gpt-2", "kimi-k2", "gpt-4o", "tekken", "default"})
    CHECK(find_pre_tokenizer(name) != nullptr);
  CHECK(find_pre_tokenizer("") == find_pre_tokenizer("default"));
  CHECK(find_pre_tokenizer("gpt-5") == nullptr);
}

}  // namespace
}  // namespace moebius::test
