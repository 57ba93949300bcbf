// Files with random damage in their header: whatever is accepted must also run, whatever is
// not must be refused with an Error. Meant to be run under the sanitizers too.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "engine/model_cases.h"
#include "formats/gguf.h"

using namespace moebius;
using namespace moebius::test;

namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  size_t below(size_t n) { return static_cast<size_t>(next() % n); }

 private:
  uint64_t state_;
};

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Small integers and bit flips reach further than noise does.
void damage(std::string& bytes, size_t header_bytes, Random& random) {
  const size_t at = random.below(header_bytes);
  switch (random.below(4)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
      break;
    case 1:
      bytes[at] = static_cast<char>(random.below(20));
      break;
    case 2:
      bytes[at] = static_cast<char>(bytes[at] + 1);
      break;
    default:
      bytes[at] = static_cast<char>(0xff);
      break;
  }
}

struct Outcome {
  int refused = 0, ran = 0;
};

// Loads the file and runs three tokens.
void load_and_run(const std::string& path, Outcome& outcome) {
  try {
    LoadOptions options;
    options.n_threads = 1;
    const std::shared_ptr<Model> model = Model::load(path, options);
    const std::vector<int32_t> tokens = {1, 2, 3};
    SessionOptions session_options;
    session_options.max_seq_len = 8;
    const std::shared_ptr<Session> session = Session::create(model, session_options);
    session->evaluate(tokens);
    session->evaluate({tokens.data(), 1});
    ++outcome.ran;
  } catch (const Error&) {
    ++outcome.refused;
  }
}

}  // namespace

TEST(damaged_headers_never_crash) {
  const std::string path = (std::filesystem::temp_directory_path() / "moebius-damaged.gguf").string();
  for (const char* name : {"bailingmoe2", "phi3", "ernie4_5-moe", "deepseek2-legacy"}) {
    const std::unique_ptr<Golden> golden = open_golden(name);
    if (golden == nullptr) continue;
    const std::string good = bytes_of(golden->gguf_path());
    const size_t header_bytes = static_cast<size_t>(GgufFile(golden->gguf_path()).header().header_bytes);
    // The tokenizer's arrays fill most of the header and are not what is tested here.
    Random random(header_bytes);
    Outcome outcome;
    for (int round = 0; round < 150; ++round) {
      std::string bytes = good;
      const size_t from = round % 2 == 0 ? 0 : header_bytes - std::min<size_t>(header_bytes, 4000);
      std::string tail = bytes.substr(from);
      for (size_t i = random.below(3) + 1; i > 0; --i)
        damage(tail, std::min<size_t>(header_bytes - from, 4000), random);
      bytes.replace(from, std::string::npos, tail);
      std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
      try {
        inspect(path);
      } catch (const Error&) {
      }
      load_and_run(path, outcome);
    }
    CHECK_EQ(outcome.ran + outcome.refused, 150);
    CHECK(outcome.refused > 20);
  }
  std::remove(path.c_str());
}

TEST(overrides_are_applied_and_reported) {
  const std::unique_ptr<Golden> golden = open_golden("qwen3moe");
  if (golden == nullptr) return;
  LoadOptions options;
  options.n_threads = 1;
  options.overrides = {{"qwen3moe.expert_used_count", "2"}};
  const std::shared_ptr<Model> model = Model::load(golden->gguf_path(), options);
  CHECK_EQ(model->info().n_active_experts, 2);
  CHECK(model->info().identity != load_golden(*golden)->info().identity);
  bool reported = false;
  for (const DerivedValue& each : model->info().derived)
    reported |= each.name == "n_active_experts" && each.origin == "override" && each.value == "2";
  CHECK(reported);
  options.overrides = {{"qwen3moe.expert_used_count", "13"}};
  CHECK_THROWS(Error, "active experts", Model::load(golden->gguf_path(), options));
}

TEST(load_reports_progress_and_can_be_cancelled) {
  const std::unique_ptr<Golden> golden = open_golden("llama");
  if (golden == nullptr) return;
  uint64_t done = 0, total = 0;
  Model::load(golden->gguf_path(), {}, [&](uint64_t bytes_done, uint64_t bytes_total) {
    done = bytes_done;
    total = bytes_total;
    return true;
  });
  CHECK_EQ(done, total);
  // The tensors, with what the alignment puts between them.
  const uint64_t file_bytes = std::filesystem::file_size(golden->gguf_path());
  CHECK(total >= Model::load(golden->gguf_path())->info().weight_bytes && total < file_bytes);
  try {
    Model::load(golden->gguf_path(), {}, [](uint64_t, uint64_t) { return false; });
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCancelled);
  }
  LoadOptions options;
  options.backend = "abacus";
  CHECK_THROWS(Error, "abacus", Model::load(golden->gguf_path(), options));
  CHECK_THROWS(Error, "", Model::load("/nowhere/model.gguf"));
}

TEST(inspection_explains_what_cannot_run) {
  const std::string folder = find_golden_folder("tokenizers/ggml-vocab-llama-spm.gguf");
  if (folder.empty()) return skip("no vocabulary file");
  const FileInspection inspection = inspect(folder + "/ggml-vocab-llama-spm.gguf");
  CHECK(inspection.problem.find("token_embd.weight") != std::string::npos);
  CHECK_EQ(inspection.info.architecture, "llama");
  bool found = false;
  for (const MetadataEntry& entry : inspection.metadata)
    if (entry.key == "tokenizer.ggml.tokens") {
      found = true;
      CHECK(entry.is_array);
      CHECK_EQ(entry.count, 32000u);
      CHECK_EQ(entry.values.size(), 8u);
      CHECK_EQ(std::get<std::string>(entry.values[1]), "<s>");
    }
  CHECK(found);
}

TEST(a_vocabulary_loads_without_weights) {
  const std::string folder = find_golden_folder("tokenizers/ggml-vocab-llama-spm.gguf");
  if (folder.empty()) return skip("no vocabulary file");
  LoadOptions options;
  options.vocabulary_only = true;
  const std::shared_ptr<Model> model = Model::load(folder + "/ggml-vocab-llama-spm.gguf", options);
  CHECK_EQ(model->info().vocab_size, 32000);
  CHECK(model->tokenizer().encode("Hello", {.add_special = false}) == std::vector<int32_t>{15043});
  CHECK(model->moe_layers().empty());
  CHECK_THROWS(Error, "only the vocabulary", Session::create(model, {}));
  CHECK_THROWS(Error, "token_embd.weight", Model::load(folder + "/ggml-vocab-llama-spm.gguf"));
}

TEST(memory_estimates_follow_the_cache) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden);
  for (const CacheFormat format : {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kQ8_0}) {
    const MemoryEstimate estimate = estimate_memory(model->info(), 256, format);
    CHECK_EQ(estimate.cache, open_session(model, 0, format)->cache_bytes_total());
    CHECK_EQ(estimate.weights, model->info().weight_bytes);
    CHECK(estimate.scratch > 0);
    CHECK(cache_format_by_name(cache_format_name(format)) == format);
  }
  CHECK_THROWS(Error, "seq_len", estimate_memory(model->info(), 0, CacheFormat::kF16));
  CHECK_THROWS(Error, "cache format", cache_format_by_name("f17"));
}

TEST(reference_backend_agrees) {
  for (const char* name : {"deepseek2-v3", "gpt-oss"}) {
    const std::unique_ptr<Golden> golden = open_golden(name);
    if (golden == nullptr) continue;
    LoadOptions options;
    options.backend = "reference";
    options.n_threads = 1;
    const std::vector<double> errors =
        row_errors(logits(Model::load(golden->gguf_path(), options), golden->sequences().at("s96")),
                   golden->array("s96.logits"));
    CHECK_NEAR(*std::max_element(errors.begin(), errors.end()), 0, 1e-9);
  }
}
