// Golden tokenisations: every vocabulary's .inp/.out pair and every model's tokenizer_check.
#include <algorithm>
#include <filesystem>
#include <sstream>

#include "native/test.h"
#include "native/tokenizer/gguf_vocabulary.h"
#include "sampling/json.h"

namespace moebius::test {
namespace {

std::string ids_text(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) {
    if (!text.empty()) text += ' ';
    text += std::to_string(id);
  }
  return text;
}

std::vector<std::string> split_inputs(const std::string& text) {
  const std::string marker = "\n__ggml_vocab_test__\n";
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find(marker, at);
    parts.push_back(text.substr(at, end == std::string::npos ? end : end - at));
    at = end == std::string::npos ? text.size() : end + marker.size();
  }
  return parts;
}

std::vector<int32_t> parse_ids(const std::string& line) {
  std::istringstream in(line);
  std::vector<int32_t> ids;
  for (int32_t id; in >> id;) ids.push_back(id);
  return ids;
}

void check_pairs(const std::string& name) {
  const std::string path = find_golden("tokenizers/ggml-vocab-" + name + ".gguf");
  if (path.empty()) return skip("no golden vocabulary " + name);
  const auto tokenizer = Tokenizer::create(read_vocabulary(path));
  const std::vector<std::string> inputs = split_inputs(read_file(path + ".inp"));
  std::istringstream lines(read_file(path + ".out"));
  size_t n_lines = 0;
  for (std::string line; std::getline(lines, line); ++n_lines) {
    if (n_lines >= inputs.size()) break;
    const auto ids = tokenizer->encode(inputs[n_lines], {.add_special = false, .parse_special = false});
    if (ids != parse_ids(line))
      fail(__FILE__, __LINE__, name + " line " + std::to_string(n_lines) + " '" + inputs[n_lines] + "': got " + ids_text(ids) + ", expected " + line);
    CHECK_EQ(tokenizer->decode(ids), inputs[n_lines]);
    // Literal spans change nothing in text without special tokens, wherever they lie.
    std::vector<TextSpan> literal;
    for (size_t at = n_lines % 3; at < inputs[n_lines].size(); at += 1 + at % 7)
      literal.push_back({at, std::min(at + 1 + at % 2, inputs[n_lines].size())});
    for (size_t i = 1; i < literal.size(); ++i) literal[i].begin = std::max(literal[i].begin, literal[i - 1].end);
    for (TextSpan& span : literal) span.end = std::max(span.begin, span.end);
    const auto parsed = tokenizer->encode(inputs[n_lines], {.add_special = false, .parse_special = true});
    CHECK(parsed == tokenizer->encode(inputs[n_lines], {.add_special = false, .parse_special = true, .literal = literal}));
  }
  CHECK_EQ(n_lines, inputs.size());
  CHECK_EQ(n_lines, size_t{46});
}

TEST(golden_pairs_deepseek_coder) { check_pairs("deepseek-coder"); }
TEST(golden_pairs_deepseek_llm) { check_pairs("deepseek-llm"); }
TEST(golden_pairs_llama_spm) { check_pairs("llama-spm"); }
TEST(golden_pairs_gpt_2) { check_pairs("gpt-2"); }
TEST(golden_pairs_qwen2) { check_pairs("qwen2"); }

// Returns how many texts of this model were compared.
size_t check_model(const std::string& json_path) {
  const JsonValue meta = parse_json(read_file(json_path));
  const JsonValue* checks = meta.find("tokenizer_check");
  const std::string model_path = json_path.substr(0, json_path.size() - 5) + ".gguf";
  if (!checks || !std::filesystem::exists(model_path)) return 0;
  const auto tokenizer = Tokenizer::create(read_vocabulary(model_path));
  for (const JsonValue& check : checks->items) {
    const std::string& text = check.find("text")->text;
    std::vector<int32_t> expected;
    for (const JsonValue& id : check.find("tokens")->items) expected.push_back(static_cast<int32_t>(id.number));
    const auto ids = tokenizer->encode(text);
    if (ids != expected)
      fail(__FILE__, __LINE__, json_path + " '" + text + "': got " + ids_text(ids) + ", expected " + ids_text(expected));
    CHECK_EQ(tokenizer->decode(ids), text);
  }
  return checks->items.size();
}

TEST(golden_tokenizer_checks_of_models) {
  size_t n_checked = 0;
  for (const std::string& folder : {find_golden("models/deepseek2-v2lite.json"), find_golden("models/llama.json")}) {
    if (folder.empty()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(folder).parent_path()))
      if (entry.path().extension() == ".json" && entry.path().filename() != "signatures.json")
        n_checked += check_model(entry.path().string());
  }
  CHECK(n_checked >= 30);
}

}  // namespace
}  // namespace moebius::test
