// Quantised files on every ISA level of this machine. With float activations they are as
// exact as f32 files, because the goldens come from the dequantised weights; with int8
// activations a token near a tie may go to another expert, so medians are compared.
#include "engine/model_cases.h"
#include "kernels/backend.h"

using namespace moebius;
using namespace moebius::test;

namespace {

// Two selection scores nearer than this may swap when activations are rounded to int8
// (test/fixtures/README.md).
constexpr float kActivationRounding = 0.02f;
// Per position; f16 and bf16 weights keep float activations.
constexpr double kExact = 1e-11, kMedianWithInt8 = 5e-4;

std::shared_ptr<Model> load_at(const Golden& golden, const std::string& level, bool exact) {
  LoadOptions options;
  options.exact = exact;
  options.n_threads = 1;
  options.backend = "cpu:" + level;
  const std::shared_ptr<Model> model = Model::load(golden.gguf_path(), options);
  CHECK_EQ(model->backend_level(), level);
  return model;
}

// Tokens of a layer whose set of experts is not the reference's. In layers above one, the
// token's hidden row is another one: its first difference alone must be a near tie.
struct RoutingDifference {
  int n_tokens = 0;
  float worst_margin = 0;
};

RoutingDifference compare_routing(const Golden& golden, const std::string& sequence,
                                  const std::shared_ptr<Model>& model) {
  const RouteResult got = route(model, golden.sequences().at(sequence));
  const auto ids = golden.array(sequence + ".route_ids").i32();
  const auto margins = golden.array(sequence + ".route_margin").f32();
  const size_t k = static_cast<size_t>(got.n_active_experts), n_tokens = static_cast<size_t>(got.n_tokens);
  CHECK_EQ(got.expert_ids.size(), ids.size());
  RoutingDifference result;
  std::vector<bool> differs(n_tokens);
  for (size_t row = 0; row < ids.size() / k; ++row) {
    const auto begin = got.expert_ids.begin() + static_cast<std::ptrdiff_t>(row * k);
    std::vector<int32_t> ours(begin, begin + static_cast<std::ptrdiff_t>(k));
    std::sort(ours.begin(), ours.end());
    if (std::equal(ours.begin(), ours.end(), ids.begin() + static_cast<std::ptrdiff_t>(row * k))) continue;
    ++result.n_tokens;
    if (!differs[row % n_tokens]) result.worst_margin = std::max(result.worst_margin, margins[row]);
    differs[row % n_tokens] = true;
  }
  return result;
}

void check_exact(const Golden& golden, const std::string& level) {
  const std::shared_ptr<Model> model = load_at(golden, level, /*exact=*/true);
  for (const char* sequence : {"s17", "s96"}) {
    const std::vector<double> errors =
        row_errors(logits(model, golden.sequences().at(sequence)), golden.array(std::string(sequence) + ".logits"));
    CHECK_NEAR(*std::max_element(errors.begin(), errors.end()), 0, kExact);
    CHECK_EQ(compare_routing(golden, sequence, model).n_tokens, 0);
  }
}

void check_with_int8(const Golden& golden, const std::string& level, double tolerance) {
  const std::shared_ptr<Model> model = load_at(golden, level, /*exact=*/false);
  for (const char* sequence : {"s17", "s96"}) {
    const std::vector<int32_t>& tokens = golden.sequences().at(sequence);
    const GoldenArray& expected = golden.array(std::string(sequence) + ".logits");
    CHECK_NEAR(median(row_errors(logits(model, tokens), expected)), 0, tolerance);
    // Token by token: the decode kernels.
    CHECK_NEAR(median(row_errors(all_logits(*open_session(model, /*prefill_chunk=*/1), tokens), expected)), 0,
               tolerance);
    CHECK(compare_routing(golden, sequence, model).worst_margin <= kActivationRounding);
  }
}

void check_quantised(const std::string& name, double tolerance = kMedianWithInt8) {
  const std::unique_ptr<Golden> golden = open_golden(name);
  if (golden == nullptr) return;
  std::vector<std::string> levels = cpu_levels();
  for (const std::string& level : modelled_cpu_levels()) levels.push_back(level);
  for (const std::string& level : levels) {
    check_exact(*golden, level);
    check_with_int8(*golden, level, tolerance);
  }
}

}  // namespace

TEST(deepseek2_k_formats) {
  for (const char* name : {"deepseek2-v3-q.Q6_K", "deepseek2-v3-q.Q4_K_M", "deepseek2-v3-q.Q3_K_M"})
    check_quantised(name);
}
TEST(deepseek2_iq_formats) {
  for (const char* name : {"deepseek2-v3-q.IQ4_XS", "deepseek2-v3-q.IQ3_XXS"}) check_quantised(name);
}
TEST(deepseek2_small_block_formats) {
  for (const char* name : {"deepseek2-v3-h.Q8_0", "deepseek2-v3-h.Q5_0", "deepseek2-v3-h.Q4_0"})
    check_quantised(name);
}
TEST(deepseek2_half_formats) {
  for (const char* name : {"deepseek2-v3-h.F16", "deepseek2-v3-h.BF16"}) check_quantised(name, kExact);
}
TEST(qwen3moe_k_formats) {
  for (const char* name : {"qwen3moe-q.Q5_K_M", "qwen3moe-q.Q4_K_M", "qwen3moe-q.Q2_K"}) check_quantised(name);
}
TEST(qwen3moe_iq_formats) {
  for (const char* name : {"qwen3moe-q.IQ2_XXS", "qwen3moe-q.IQ2_XS"}) check_quantised(name);
}
TEST(qwen3moe_small_block_formats) {
  for (const char* name : {"qwen3moe-h.Q8_0", "qwen3moe-h.Q5_1", "qwen3moe-h.IQ4_NL", "qwen3moe-h.MXFP4_MOE"})
    check_quantised(name);
}

TEST(levels_are_chosen_by_name) {
  LoadOptions options;
  options.backend = "cpu:abacus";
  CHECK_THROWS(std::exception, "abacus", Model::load(MOEBIUS_FIXTURES "/models/qwen3moe.gguf", options));
}
