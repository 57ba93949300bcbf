// Streamed experts against resident ones: the same logits bit for bit, whatever the budget, the
// phase and the number of threads; what happens when the file fails under a running model.
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/model_cases.h"
#include "engine/model_state.h"
#include "formats/gguf_model_file.h"
#include "formats/gguf_writer.h"

using namespace moebius;
using namespace moebius::test;

namespace {

namespace fs = std::filesystem;

std::shared_ptr<Model> load_with(const std::string& path, uint64_t expert_memory, int n_threads, bool exact = false,
                                 const std::string& backend = "cpu") {
  LoadOptions options;
  options.expert_memory = expert_memory;
  options.n_threads = n_threads;
  options.exact = exact;
  options.backend = backend;
  return Model::load(path, options);
}

// The prompt in one chunk and in small ones, single tokens, and two rows of a batch apart.
std::vector<float> run_everything(const std::shared_ptr<Model>& model) {
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 24; ++i) tokens.push_back((i * 37 + 11) % static_cast<int32_t>(model->info().vocab_size));
  std::vector<float> all;
  for (const int64_t chunk : {24, 5}) {
    const auto session = open_session(model, chunk);
    const std::vector<float> prompt = flat(all_logits(*session, tokens));
    all.insert(all.end(), prompt.begin(), prompt.end());
    for (int32_t token = 3; token < 9; ++token) {
      const std::vector<float> row = flat(session->evaluate({&token, 1}));
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_budgets(const std::string& name, bool exact, const std::string& backend) {
  const std::unique_ptr<Golden> golden = open_golden(name);
  if (golden == nullptr) return;
  const auto resident = load_with(golden->gguf_path(), 0, 1, exact, backend);
  const std::vector<float> expected = run_everything(resident);
  CHECK(!resident->streamed_experts().has_value());
  const MemoryEstimate sizes = estimate_memory(resident->info(), 64, CacheFormat::kF32);
  CHECK(sizes.least_expert_memory > 0 && sizes.most_expert_memory >= sizes.least_expert_memory);
  const uint64_t budgets[] = {sizes.least_expert_memory, (sizes.least_expert_memory + sizes.most_expert_memory) / 2,
                              sizes.most_expert_memory, sizes.most_expert_memory * 2};
  for (const int n_threads : {1, 2})
    for (const uint64_t budget : budgets) {
      const auto streamed = load_with(golden->gguf_path(), budget, n_threads, exact, backend);
      if (!same_bits(run_everything(streamed), expected))
        fail(name.c_str(), n_threads, "streamed logits differ with " + std::to_string(budget) + " bytes, backend " + backend);
      const StreamedExperts info = streamed->streamed_experts().value();
      CHECK(info.misses > 0 && info.bytes_read > 0 && info.n_bytes <= budget);
      if (budget >= sizes.most_expert_memory) {
        // Everything that was read stays.
        CHECK_EQ(info.slots_per_layer, resident->info().n_routed_experts);
        const uint64_t read = info.bytes_read;
        run_everything(streamed);
        CHECK_EQ(streamed->streamed_experts()->bytes_read, read);
        CHECK(info.hits > 0);
      }
      if (budget == sizes.least_expert_memory) CHECK_EQ(info.slots_per_layer, resident->info().n_active_experts);
    }
}

// The same model with the experts' tensors behind all others, in the order given.
struct Rearranged {
  std::string path;
  Rearranged(const std::string& source, const std::string& name, const std::function<bool(const GgufTensor&)>& is_last)
      : path((fs::temp_directory_path() / ("moebius-streaming-" + name + ".gguf")).string()) {
    const GgufModelFile file(source);
    GgufWriter writer;
    for (const GgufEntry& entry : file.metadata().entries()) writer.add_value(entry.key, entry.value);
    for (const bool last : {false, true})
      for (const GgufTensor& tensor : file.tensors())
        if (is_last(tensor) == last)
          writer.add_tensor(tensor.name, tensor.format, {tensor.dims, tensor.dims + tensor.n_dims}, file.data(tensor));
    writer.write(path);
  }
  ~Rearranged() { fs::remove(path); }
};

bool is_expert(const std::string& name) { return name.find("_exps.") != std::string::npos; }

uint64_t least_memory(const std::string& path) {
  return estimate_memory(inspect(path).info, 64, CacheFormat::kF32).least_expert_memory;
}

std::string read_all(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void append(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::app) << bytes;
}

}  // namespace

TEST(streamed_experts_equal_resident_f32) {
  for (const char* name : {"deepseek2-v3", "deepseek2-v2", "qwen3moe", "qwen2moe", "mixtral", "gpt-oss", "glm4moe", "olmoe",
                           "deepseek", "bailingmoe2", "ernie4_5-moe"})
    check_budgets(name, /*exact=*/false, "cpu");
}

TEST(streamed_experts_equal_resident_quantised) {
  for (const char* name : {"deepseek2-v3-q.Q4_K_M", "qwen3moe-q.Q2_K", "qwen3moe-h.MXFP4_MOE", "deepseek2-v3-h.Q8_0",
                           "deepseek2-v3-q.Q6_K", "deepseek2-v3-q.IQ3_XXS", "qwen3moe-h.IQ4_NL", "deepseek2-v3-h.BF16"})
    check_budgets(name, /*exact=*/false, "cpu");
}

TEST(streamed_experts_equal_resident_in_exact_mode) { check_budgets("deepseek2-v3-q.Q4_K_M", /*exact=*/true, "cpu"); }

TEST(streamed_experts_equal_resident_on_every_level) {
  for (const std::string& level : cpu_levels()) check_budgets("deepseek2-v3-q.Q4_K_M", /*exact=*/false, "cpu:" + level);
}

TEST(streamed_experts_equal_resident_in_the_plain_loops) { check_budgets("deepseek2-v3", /*exact=*/false, "reference"); }

TEST(streamed_experts_of_the_multi_token_layer) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const auto resident = load_golden(*golden);
  const uint64_t least = estimate_memory(resident->info(), 64, CacheFormat::kF32).least_expert_memory;
  const std::vector<int32_t> tokens{1, 5, 9, 13, 17, 2, 4};
  const auto expected = flat(mtp_logits(resident, tokens));
  CHECK(same_bits(flat(mtp_logits(load_with(golden->gguf_path(), least, 2, /*exact=*/true), tokens)), expected));
}

TEST(streamed_batches_equal_rows_alone) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-q.Q4_K_M");
  if (golden == nullptr) return;
  const auto resident = load_with(golden->gguf_path(), 0, 1);
  const uint64_t least = estimate_memory(resident->info(), 64, CacheFormat::kF32).least_expert_memory;
  // Together these ask for more experts than a layer has slots: decode goes in parts, too.
  const auto texts = [](const std::shared_ptr<Model>& model) {
    std::vector<std::vector<int32_t>> answers(4);
    Scheduler scheduler(model);
    for (size_t i = 0; i < answers.size(); ++i) {
      GenerateRequest request;
      request.session = open_session(model);
      request.prompt = {static_cast<int32_t>(7 * i + 1), static_cast<int32_t>(3 * i + 2), 5};
      request.max_tokens = 12;
      request.stop_at_end_of_generation = false;
      request.on_token = [&answers, i](const TokenEvent& event) { answers[i].push_back(event.id); };
      scheduler.submit(std::move(request));
    }
    scheduler.wait_until_idle();
    return answers;
  };
  CHECK(texts(load_with(golden->gguf_path(), least, 2)) == texts(resident));
}

// One tensor an expert, the odd ones behind the even ones: no stride leads from one to the next.
TEST(scattered_experts_are_streamed_where_they_lie) {
  const std::unique_ptr<Golden> golden = open_golden("mixtral");
  if (golden == nullptr) return;
  const std::string path = (fs::temp_directory_path() / "moebius-streaming-scattered.gguf").string();
  {
    const GgufModelFile file(golden->gguf_path());
    GgufWriter writer;
    for (const GgufEntry& entry : file.metadata().entries()) writer.add_value(entry.key, entry.value);
    for (const GgufTensor& tensor : file.tensors()) {
      if (!is_expert(tensor.name)) {
        writer.add_tensor(tensor.name, tensor.format, {tensor.dims, tensor.dims + tensor.n_dims}, file.data(tensor));
        continue;
      }
      const size_t end = tensor.name.find("_exps.");
      const int64_t n = tensor.dims[2];
      for (const int64_t odd : {0, 1})
        for (int64_t expert = odd; expert < n; expert += 2)
          writer.add_tensor(tensor.name.substr(0, end) + "." + std::to_string(expert) + ".weight", tensor.format,
                            {tensor.dims[0], tensor.dims[1]},
                            file.data(tensor) + tensor.n_bytes / static_cast<uint64_t>(n) * static_cast<uint64_t>(expert));
    }
    writer.write(path);
  }
  const auto expected = run_everything(load_with(golden->gguf_path(), 0, 1));
  CHECK(same_bits(run_everything(load_with(path, 0, 1)), expected));
  const auto streamed = load_with(path, least_memory(path), 2);
  CHECK(!streamed->state().decoder.weights.layers.front().scattered_experts.gate_proj.empty());
  CHECK(same_bits(run_everything(streamed), expected));
  fs::remove(path);
}

TEST(expert_memory_is_checked) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3");
  if (golden == nullptr) return;
  const ModelInfo info = inspect(golden->gguf_path()).info;
  const MemoryEstimate mapped = estimate_memory(info, 64, CacheFormat::kF16);
  CHECK_EQ(mapped.experts, uint64_t{0});
  const uint64_t least = mapped.least_expert_memory;
  CHECK_THROWS(Error, "expected at least " + std::to_string(least), load_with(golden->gguf_path(), least - 1, 1));
  CHECK_THROWS(Error, "expected at least " + std::to_string(least), estimate_memory(info, 64, CacheFormat::kF16, 1));
  const MemoryEstimate streamed = estimate_memory(info, 64, CacheFormat::kF16, least);
  CHECK_EQ(streamed.experts, least);
  CHECK_EQ(streamed.expert_slots, info.n_active_experts);
  CHECK_EQ(streamed.weights, mapped.weights - info.routed_expert_bytes);
  for (const TensorClassInfo& each : info.tensor_classes)
    if (each.name == "experts") CHECK_EQ(each.bytes, info.routed_expert_bytes);

  const std::unique_ptr<Golden> dense = open_golden("llama");
  if (dense == nullptr) return;
  CHECK_THROWS(Error, "no routed experts", load_with(dense->gguf_path(), 1 << 30, 1));
  CHECK_EQ(estimate_memory(inspect(dense->gguf_path()).info, 64, CacheFormat::kF16).least_expert_memory, uint64_t{0});
}

TEST(a_file_cut_short_fails_the_step_and_not_the_model) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-q.Q4_K_M");
  if (golden == nullptr) return;
  const Rearranged copy(golden->gguf_path(), "cut", [](const GgufTensor& tensor) { return is_expert(tensor.name); });
  const auto resident = load_with(golden->gguf_path(), 0, 1);
  const auto expected = run_everything(resident);
  const auto streamed = load_with(copy.path, least_memory(copy.path), 2);
  // The cut goes through the file's last tensor; what is mapped lies far before.
  const TensorEntry last = inspect(copy.path).tensors.back();
  const std::string& victim = last.name;
  const uint64_t cut = last.offset + last.bytes / 2;
  CHECK(is_expert(victim));
  const std::string bytes = read_all(copy.path);
  fs::resize_file(copy.path, cut);
  const auto session = open_session(streamed);
  std::vector<int32_t> tokens(24);
  for (int32_t i = 0; i < 24; ++i) tokens[static_cast<size_t>(i)] = i * 5 + 1;
  CHECK_THROWS(Error, victim, session->evaluate(tokens));
  CHECK_THROWS(Error, copy.path, session->evaluate(tokens));
  CHECK_EQ(session->position(), int64_t{0});

  bool ended_with_error = false;
  {
    Scheduler scheduler(streamed);
    GenerateRequest request;
    request.session = session;
    request.prompt = tokens;
    request.max_tokens = 4;
    request.on_end = [&](const GenerateEnd& end) {
      ended_with_error = end.reason == EndReason::kError && end.error_code == ErrorCode::kIo &&
                         end.error_message.find(victim) != std::string::npos;
    };
    scheduler.submit(std::move(request));
    scheduler.wait_until_idle();
  }
  CHECK(ended_with_error);

  append(copy.path, bytes.substr(cut));
  CHECK(same_bits(run_everything(streamed), expected));
}
