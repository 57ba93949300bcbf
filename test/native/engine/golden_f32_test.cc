// Every architecture against transformers: logits at every position, the residual stream,
// routing and greedy continuation, with float weights, float activations and an f32 cache.
#include <map>

#include "engine/model_cases.h"
#include "kernels/backend.h"

using namespace moebius;
using namespace moebius::test;

namespace {

struct Tolerance {
  double nmse = 1e-9;
  double weight = 1e-6;
};

// What transformers computes carries f32 rounding of its own, up to 1.2e-5 in a weight: the
// reference of weights is test/tools/make-float64-routing.py where it has the model.
std::vector<float> expected_weights(const Golden& golden, const std::string& sequence) {
  static const Golden float64(find_golden_folder("routing/float64.json"), "float64");
  const std::string name = golden.json()["name"].text() + "." + sequence + ".route_weights";
  const auto weights = float64.has(name) ? float64.array(name).f32() : golden.array(sequence + ".route_weights").f32();
  return {weights.begin(), weights.end()};
}

void check_logits(const Golden& golden, const std::shared_ptr<Model>& model, double tolerance) {
  for (const auto& [name, tokens] : golden.sequences()) {
    const Logits got = logits(model, tokens);
    const std::vector<double> errors = row_errors(got, golden.array(name + ".logits"));
    CHECK_EQ(errors.size(), tokens.size());
    CHECK_NEAR(*std::max_element(errors.begin(), errors.end()), 0, tolerance);
  }
}

// The largest distance of two rows of router logits, apart from what they have in common: a
// softmax does not see it.
double logit_movement(std::span<const float> ours, std::span<const float> reference) {
  double low = 0, high = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double difference = static_cast<double>(ours[i]) - static_cast<double>(reference[i]);
    low = std::min(low, difference);
    high = std::max(high, difference);
  }
  return high - low;
}

// Golden ids are in ascending order; ours in selection order.
void check_routing_at(const Golden& golden, const std::string& level, double tolerance) {
  LoadOptions load;
  load.exact = true;
  load.n_threads = 1;
  load.backend = "cpu:" + level;
  const std::shared_ptr<Model> model = Model::load(golden.gguf_path(), load);
  for (const auto& [name, tokens] : golden.sequences()) {
    const RouteResult got = route(model, tokens, /*with_router_logits=*/true);
    const auto ids = golden.array(name + ".route_ids").i32();
    const std::vector<float> weights = expected_weights(golden, name);
    // Families without a transformers golden have none.
    const auto router_logits = golden.has(name + ".router_logits")
                                   ? golden.array(name + ".router_logits").f32()
                                   : std::span<const float>(got.router_logits);
    const size_t k = static_cast<size_t>(got.n_active_experts);
    const size_t n_experts = static_cast<size_t>(got.n_routed_experts);
    CHECK_EQ(got.expert_ids.size(), ids.size());
    CHECK_EQ(got.router_logits.size(), router_logits.size());
    double worst = 0, worst_of_router = 0;
    for (size_t row = 0; row + k <= ids.size(); row += k) {
      std::map<int32_t, float> ours;
      for (size_t i = row; i < row + k; ++i) ours[got.expert_ids[i]] = got.routing_weights[i];
      CHECK(std::equal(ours.begin(), ours.end(), ids.begin() + static_cast<std::ptrdiff_t>(row),
                       [](const auto& chosen, int32_t id) { return chosen.first == id; }));
      const size_t at = row / k * n_experts;
      const double movement = logit_movement(std::span(got.router_logits).subspan(at, n_experts),
                                             router_logits.subspan(at, n_experts));
      for (size_t i = row; i < row + k; ++i) {
        const double error = std::fabs(static_cast<double>(ours[ids[i]]) - static_cast<double>(weights[i]));
        worst = std::max(worst, error);
        worst_of_router = std::max(worst_of_router, error - 2 * movement * static_cast<double>(weights[i]));
      }
    }
    CHECK_NEAR(worst, 0, tolerance);
    // What the logits do not explain is the router's own.
    CHECK(worst_of_router <= 1e-6);
  }
}

void check_routing(const Golden& golden, double tolerance) {
  for (const std::string& level : cpu_levels()) check_routing_at(golden, level, tolerance);
}

void check_hidden(const Golden& golden, const std::shared_ptr<Model>& model, double tolerance) {
  const std::vector<int32_t>& tokens = golden.sequences().at("s17");
  const size_t rows = tokens.size() * static_cast<size_t>(model->info().hidden_size);
  EvaluateOptions options;
  options.hidden_observer = [&](int64_t index, const float* hidden, int64_t) {
    std::span<const float> expected;
    if (index < 0)
      expected = golden.array("s17.embed").f32();
    else if (index == model->info().n_layers)
      expected = golden.array("s17.final_norm").f32();
    else
      expected = golden.array("s17.hidden").f32().subspan(static_cast<size_t>(index) * rows, rows);
    CHECK_NEAR(nmse({hidden, rows}, expected), 0, tolerance);
  };
  open_session(model)->evaluate(tokens, options);
}

// Up to the first step whose two best logits are nearer than the arithmetic's noise.
void check_greedy(const Golden& golden, const std::shared_ptr<Model>& model, float noise) {
  const GreedyRun& run = golden.greedy();
  size_t n = 0;
  while (n < run.tokens.size() && run.gaps[n] >= noise) ++n;
  const std::shared_ptr<Session> session = open_session(model);
  const std::vector<int32_t> got = greedy_tokens(*session, golden.sequences().at(run.prompt), n);
  CHECK(got == std::vector<int32_t>(run.tokens.begin(), run.tokens.begin() + static_cast<std::ptrdiff_t>(n)));
  CHECK(n == run.tokens.size() || noise > 0.02f);
}

void check_model(const std::string& name, Tolerance tolerance = {}) {
  const std::unique_ptr<Golden> golden = open_golden(name);
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden);
  check_hidden(*golden, model, tolerance.nmse);
  check_logits(*golden, model, tolerance.nmse);
  if (model->info().is_moe) check_routing(*golden, tolerance.weight);
  check_greedy(*golden, model, 0.01f);
}

}  // namespace

TEST(deepseek2_v2) { check_model("deepseek2-v2"); }
// 27 layers: storing activations as f32 alone moves a weight by 2.4e-6.
TEST(deepseek2_v2lite) { check_model("deepseek2-v2lite", {.weight = 4e-6}); }
TEST(deepseek2_v3) { check_model("deepseek2-v3"); }
TEST(deepseek2_v3_mtp) { check_model("deepseek2-v3-mtp"); }
TEST(deepseek2_legacy) { check_model("deepseek2-legacy"); }
TEST(deepseek2_fused) { check_model("deepseek2-fused"); }
TEST(llama) { check_model("llama"); }
TEST(llama_tied) { check_model("llama-tied"); }
TEST(mixtral) { check_model("mixtral"); }
TEST(qwen2) { check_model("qwen2"); }
TEST(qwen2_fused) { check_model("qwen2-fused"); }
TEST(qwen3) { check_model("qwen3"); }
TEST(qwen3moe) { check_model("qwen3moe"); }
TEST(olmoe) { check_model("olmoe"); }
TEST(gemma3) { check_model("gemma3"); }
TEST(gpt_oss) { check_model("gpt-oss"); }
TEST(glm4moe) { check_model("glm4moe"); }

// Families without a transformers golden: against test/tools/make-family-goldens.py.
TEST(qwen2moe) { check_model("qwen2moe"); }
TEST(deepseek) { check_model("deepseek"); }
TEST(ernie4_5) { check_model("ernie4_5"); }
TEST(ernie4_5_moe) { check_model("ernie4_5-moe"); }
TEST(bailingmoe2) { check_model("bailingmoe2"); }

// The session's length picks the rotary factors, not the position reached.
TEST(phi3_short_and_long_factors) {
  const std::unique_ptr<Golden> golden = open_golden("phi3");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden);
  for (const bool is_long : {false, true}) {
    SessionOptions options;
    options.max_seq_len = is_long ? 129 : 128;
    options.cache_format = CacheFormat::kF32;
    const Logits got = all_logits(*Session::create(model, options), golden->sequences().at("s17"));
    const std::vector<double> errors =
        row_errors(got, golden->array(is_long ? "alt_long.s17.logits" : "s17.logits"));
    CHECK_NEAR(*std::max_element(errors.begin(), errors.end()), 0, 1e-9);
  }
  const std::shared_ptr<Session> short_session =
      Session::create(model, {.max_seq_len = 128, .cache_format = CacheFormat::kF16, .prefill_chunk = 0});
  CHECK_THROWS(
      std::exception, "rotary factors",
      short_session->fork(0, {.max_seq_len = 129, .cache_format = CacheFormat::kF16, .prefill_chunk = 0}));
}

// A vocabulary of 32256: only the 32 largest logits of a position are recorded, and the whole
// last row of some sequences.
TEST(deepseek2_v3_tok) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-tok");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden);
  check_routing(*golden, 2e-6);
  check_hidden(*golden, model, 1e-9);
  check_greedy(*golden, model, 0.01f);
  for (const auto& [name, tokens] : golden->sequences()) {
    const Logits got = logits(model, tokens);
    const auto ids = golden->array(name + ".top_ids").i32();
    const auto top = golden->array(name + ".top_logits").f32();
    std::vector<float> ours;
    for (size_t i = 0; i < ids.size(); ++i)
      ours.push_back(got.row(static_cast<int64_t>(i / 32))[static_cast<size_t>(ids[i])]);
    CHECK_NEAR(nmse(ours, top), 0, 1e-9);
    if (golden->has(name + ".logits_last"))
      CHECK_NEAR(nmse(got.row(got.n_rows() - 1), golden->array(name + ".logits_last").f32()), 0, 1e-9);
  }
}

TEST(mtp_logits_match) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden);
  CHECK_EQ(model->info().n_mtp_layers, 1);
  for (const auto& [name, tokens] : golden->sequences()) {
    if (tokens.size() < 2) continue;
    const std::vector<double> errors =
        row_errors(mtp_logits(model, tokens), golden->array(name + ".mtp_logits"));
    CHECK_EQ(errors.size(), tokens.size() - 1);
    CHECK_NEAR(*std::max_element(errors.begin(), errors.end()), 0, 1e-9);
  }
}

// The two-best-sum rule on a V2 file must be noticeable, or the group test proves nothing.
TEST(v2_group_rule_is_not_the_sum) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v2");
  if (golden == nullptr) return;
  const std::vector<double> errors = row_errors(logits(load_golden(*golden), golden->sequences().at("s96")),
                                                golden->array("alt_top2sum.s96.logits"));
  CHECK(*std::max_element(errors.begin(), errors.end()) > 1e-4);
}
