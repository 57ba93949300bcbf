// decode(encode(text)) == text on seeded random Unicode, for every vocabulary there is, and
// the time encoding takes on friendly and hostile text.
#include <chrono>
#include <random>

#include "native/test.h"
#include "native/tokenizer/gguf_vocabulary.h"
#include "tokenizer/unicode.h"

namespace moebius::test {
namespace {

constexpr int kTexts = 10000;

std::string random_text(std::mt19937& random) {
  constexpr std::pair<uint32_t, uint32_t> ranges[] = {
      {0x20, 0x7E}, {0x20, 0x7E}, {0x00, 0x1F}, {0xA0, 0x24F}, {0x370, 0x4FF}, {0x900, 0x97F}, {0x2000, 0x206F},
      {0x3000, 0x30FF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xE000, 0xE0FF}, {0xFF00, 0xFFFD}, {0x1F300, 0x1F6FF},
      {0x20000, 0x2A6DF}, {0x0, 0x10FFFF}};
  std::string text;
  const size_t n_runs = random() % 6;
  for (size_t run = 0; run < n_runs; ++run) {
    const auto [first, last] = ranges[random() % std::size(ranges)];
    for (size_t i = random() % 9; i > 0; --i) {
      const uint32_t code = first + static_cast<uint32_t>(random() % (last - first + 1));
      append_utf8(text, code >= 0xD800 && code <= 0xDFFF ? 0xFFFD : code);
    }
    if (random() % 3 == 0) text += std::string(random() % 5, ' ');
  }
  return text;
}

std::unique_ptr<Tokenizer> open(const std::string& relative) {
  const std::string path = relative.rfind("moebius", 0) == 0 ? MOEBIUS_RESOURCES "/models/" + relative : find_golden(relative);
  if (!path.empty()) return Tokenizer::create(read_vocabulary(path));
  skip("no golden file " + relative);
  return nullptr;
}

// A text may itself hold "▁", which SentencePiece cannot tell from a space.
std::string with_spaces(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const bool symbol = text.compare(at, 3, "▁") == 0;
    out.push_back(symbol ? ' ' : text[at]);
    at += symbol ? 3 : 1;
  }
  return out;
}

// Byte-level BPE gives back every text. SentencePiece gives it back as well, because the one
// space it adds is taken off again and bytes stand for unknown characters.
void check_round_trips(const std::string& relative) {
  const auto tokenizer = open(relative);
  if (!tokenizer) return;
  std::mt19937 random(1234);
  for (int i = 0; i < kTexts; ++i) {
    const std::string text = random_text(random);
    const auto ids = tokenizer->encode(text, {.add_special = i % 2 == 0, .parse_special = false});
    const std::string expected = tokenizer->model_name() == "llama" ? with_spaces(text) : text;
    CHECK_EQ(tokenizer->decode(ids), expected);
    std::string streamed;
    StreamDecoder stream(*tokenizer);
    for (const int32_t id : ids) streamed += stream.push(id);
    CHECK_EQ(streamed + stream.flush(), expected);
  }
}

TEST(round_trip_deepseek_coder) { check_round_trips("tokenizers/ggml-vocab-deepseek-coder.gguf"); }
TEST(round_trip_deepseek_llm) { check_round_trips("tokenizers/ggml-vocab-deepseek-llm.gguf"); }
TEST(round_trip_gpt_2) { check_round_trips("tokenizers/ggml-vocab-gpt-2.gguf"); }
TEST(round_trip_qwen2) { check_round_trips("tokenizers/ggml-vocab-qwen2.gguf"); }
TEST(round_trip_llama_spm) { check_round_trips("tokenizers/ggml-vocab-llama-spm.gguf"); }
TEST(round_trip_demo_model) { check_round_trips("moebius-demo-6m.gguf"); }
TEST(round_trip_tiny_vocabularies) {
  check_round_trips("models/llama.gguf");
  check_round_trips("models/deepseek2-v3.gguf");
  check_round_trips("models/gpt-oss.gguf");
}

TEST(invalid_utf8_keeps_its_bytes) {
  const std::string text = "a\xFF\xC3(\x80 \xF0\x9F\x98 b\xED\xA0\x80";
  for (const char* relative : {"tokenizers/ggml-vocab-llama-spm.gguf", "models/gpt-oss.gguf"}) {
    const auto tokenizer = open(relative);
    if (!tokenizer) return;
    CHECK_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    std::string streamed;
    StreamDecoder stream(*tokenizer);
    for (const int32_t id : tokenizer->encode(text)) streamed += stream.push(id);
    CHECK_EQ(streamed + stream.flush(), to_valid_utf8(text));
  }
  // DeepSeek's vocabulary has no tokens for bytes that never occur in UTF-8.
  const auto deepseek = open("tokenizers/ggml-vocab-deepseek-coder.gguf");
  if (deepseek) CHECK_EQ(deepseek->decode(deepseek->encode("a\xFF" "b")), "a\uFFFDb");
}

double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  const auto begin = std::chrono::steady_clock::now();
  const auto ids = tokenizer.encode(text);
  CHECK(!ids.empty());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST(hostile_texts_take_linear_time) {
  for (const char* relative : {"tokenizers/ggml-vocab-deepseek-coder.gguf", "tokenizers/ggml-vocab-llama-spm.gguf", "models/gpt-oss.gguf"}) {
    const auto tokenizer = open(relative);
    if (!tokenizer) return;
    for (const char* unit : {"a", " ", "😀", "\n", "é", "7", "'", "\xFF", "a ", " \n", "好", "ab\xCC\x81", "A文", "<", "<s", "/\n"}) {
      std::string text;
      while (text.size() < 1000000) text += unit;
      // Tenths of a second in an ordinary build; a quadratic step would take minutes.
      if (seconds_to_encode(*tokenizer, text) > 20) fail(__FILE__, __LINE__, std::string(relative) + " is slow on 1 MB of '" + unit + "'");
    }
  }
}

TEST(english_encodes_fast) {
  const std::string domains = read_file(MOEBIUS_RESOURCES "/evaluation/domains.jsonl");
  std::string text;
  while (text.size() < 2000000) text += domains;
  for (const char* relative : {"tokenizers/ggml-vocab-deepseek-coder.gguf", "tokenizers/ggml-vocab-llama-spm.gguf"}) {
    const auto tokenizer = open(relative);
    if (!tokenizer) return;
    // The goal is 5 MB/s on one core; the bound leaves room for sanitizers and busy machines.
    CHECK(static_cast<double>(text.size()) / 1e6 / seconds_to_encode(*tokenizer, text) > 0.3);
  }
}

}  // namespace
}  // namespace moebius::test
