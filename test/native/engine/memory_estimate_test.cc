// The scratch that estimate_memory announces against what a prompt of that length touches.
// Scratch hands out memory from the start of its block and pages are zero at first: the last
// byte that is not tells how far a step came.
#include <cstring>

#include "engine/model_cases.h"
#include "engine/model_state.h"

using namespace moebius;
using namespace moebius::test;

namespace {

size_t touched_by_a_prompt(const std::shared_ptr<Model>& model, int64_t seq_len) {
  constexpr size_t kBytes = size_t{256} << 20;
  Scratch& scratch = model->state().scratch;
  scratch.reserve(kBytes);
  const uint8_t* bytes = static_cast<const uint8_t*>(scratch.take_bytes(kBytes));
  scratch.reset();
  SessionOptions options;
  options.max_seq_len = seq_len;
  options.cache_format = CacheFormat::kF16;
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < seq_len; ++i) tokens.push_back(static_cast<int32_t>((i * 37 + 11) % model->info().vocab_size));
  Session::create(model, options)->evaluate(tokens);
  CHECK_EQ(scratch.bytes_reserved(), kBytes);
  size_t end = kBytes;
  static const uint8_t kZeros[4096] = {};
  while (end > 0 && std::memcmp(bytes + end - sizeof kZeros, kZeros, sizeof kZeros) == 0) end -= sizeof kZeros;
  while (end > 0 && bytes[end - 1] == 0) --end;
  return end;
}

void check_scratch(const std::string& path, const char* context_key, std::initializer_list<int64_t> lengths) {
  LoadOptions options;
  if (*context_key != '\0') options.overrides = {{context_key, "4096"}};
  for (const int64_t seq_len : lengths) {
    const std::shared_ptr<Model> model = Model::load(path, options);
    const auto announced = static_cast<double>(estimate_memory(model->info(), seq_len, CacheFormat::kF16).scratch);
    const auto touched = static_cast<double>(touched_by_a_prompt(model, seq_len));
    // The plain loops pack nothing and need less.
    const bool is_plain = model->backend_level() == "reference";
    if (announced < touched || (announced > 1.1 * touched && !is_plain))
      fail(path.c_str(), static_cast<int>(seq_len),
           "announced " + std::to_string(announced) + " bytes, touched " + std::to_string(touched));
  }
}

}  // namespace

TEST(scratch_is_announced_for_the_built_in_model) {
  check_scratch(MOEBIUS_RESOURCES "/models/moebius-demo-6m.gguf", "", {128, 512});
  check_scratch(MOEBIUS_RESOURCES "/models/moebius-demo-6m.gguf", "deepseek2.context_length", {2048});
}

TEST(scratch_is_announced_for_every_kind_of_model) {
  for (const char* name : {"deepseek2-v2", "deepseek2-v3", "deepseek2-v3-q.Q4_K_M", "qwen3moe", "qwen3moe-h.Q8_0",
                           "mixtral", "gpt-oss", "glm4moe", "llama", "gemma3"}) {
    const std::unique_ptr<Golden> golden = open_golden(name);
    if (golden != nullptr) check_scratch(golden->gguf_path(), "", {128, 512});
  }
}

// Where the gate goes by tiles and down_proj does not, inputs are packed and hidden rows are not.
TEST(scratch_is_announced_whatever_the_thresholds) {
  for (const char* name : {"deepseek2-v3-q.Q4_K_M", "qwen3moe-h.Q8_0"}) {
    const std::unique_ptr<Golden> golden = open_golden(name);
    if (golden == nullptr) continue;
    for (const int down : {1, 24})
      for (const int others : {1, 6, 24})
        for (const int64_t seq_len : {32, 128, 512}) {
          LoadOptions options;
          options.thresholds = KernelThresholds(static_cast<uint8_t>(others));
          for (const QuantFormat format : {QuantFormat::kQ6_K, QuantFormat::kQ5_0}) options.thresholds.set_tile_columns(format, down);
          const std::shared_ptr<Model> model = Model::load(golden->gguf_path(), options);
          const uint64_t announced = estimate_memory(model->info(), seq_len, CacheFormat::kF16).scratch;
          const size_t touched = touched_by_a_prompt(model, seq_len);
          if (announced < touched)
            fail(name, static_cast<int>(seq_len), std::to_string(down) + "/" + std::to_string(others) + " announced " + std::to_string(announced) + " bytes, touched " + std::to_string(touched));
        }
  }
}

// Outputs of experts that arrive in parts wait for the last: more scratch than with mapped ones.
TEST(scratch_is_announced_for_streamed_experts) {
  for (const char* name : {"deepseek2-v3", "deepseek2-v3-q.Q4_K_M", "qwen3moe", "mixtral"}) {
    const std::unique_ptr<Golden> golden = open_golden(name);
    if (golden == nullptr) continue;
    LoadOptions options;
    options.expert_memory =
        estimate_memory(inspect(golden->gguf_path()).info, 128, CacheFormat::kF16).least_expert_memory;
    for (const int64_t seq_len : {128, 512}) {
      const std::shared_ptr<Model> model = Model::load(golden->gguf_path(), options);
      const uint64_t announced =
          estimate_memory(model->info(), seq_len, CacheFormat::kF16, options.expert_memory).scratch;
      const size_t touched = touched_by_a_prompt(model, seq_len);
      if (announced < touched)
        fail(name, static_cast<int>(seq_len), "announced " + std::to_string(announced) + " bytes, touched " + std::to_string(touched));
    }
  }
}

TEST(prefill_steps_are_few_and_even) {
  const auto steps = [](int64_t n, int64_t chunk) {
    std::vector<int64_t> rows;
    for (int64_t left = n; left > 0; left -= rows.back()) rows.push_back(next_prefill_rows(left, chunk));
    return rows;
  };
  CHECK(steps(100, 512) == (std::vector<int64_t>{100}));
  CHECK(steps(512, 512) == (std::vector<int64_t>{512}));
  CHECK(steps(513, 512) == (std::vector<int64_t>{320, 193}));
  CHECK(steps(2048, 1280) == (std::vector<int64_t>{1024, 1024}));
  CHECK(steps(3000, 1280) == (std::vector<int64_t>{1024, 1024, 952}));
  CHECK(steps(5, 1) == (std::vector<int64_t>{1, 1, 1, 1, 1}));
  CHECK(steps(130, 60) == (std::vector<int64_t>{60, 60, 10}));
}
