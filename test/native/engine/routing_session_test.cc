// The routing trace on a real session: every token counts k times in every MoE layer, in its
// phase, and watching changes nothing.
#include <numeric>

#include "base/error.h"
#include "engine/model_cases.h"

using namespace moebius;
using namespace moebius::test;

TEST(every_token_counts_in_every_layer) {
  for (const char* name : {"deepseek2-v3", "qwen3moe", "gpt-oss"}) {
    const std::unique_ptr<Golden> golden = open_golden(name);
    if (golden == nullptr) continue;
    const std::shared_ptr<Model> model = load_golden(*golden);
    const ModelInfo& info = model->info();
    const auto trace = std::make_shared<RoutingTrace>(model->moe_layers(), info.n_routed_experts,
                                                      info.n_active_experts, 200);
    const std::vector<int32_t>& tokens = golden->sequences().at("s96");
    const std::shared_ptr<Session> watched = open_session(model, 40), alone = open_session(model, 40);
    watched->set_routing_observer(trace);
    CHECK(flat(all_logits(*watched, tokens)) == flat(all_logits(*alone, tokens)));
    for (const int32_t token : {3, 4, 5}) watched->evaluate({&token, 1});

    const std::atomic<bool> cancel{true};
    EvaluateOptions cancelled;
    cancelled.cancel = &cancel;
    CHECK_THROWS(Error, "cancelled", watched->evaluate(tokens, cancelled));

    const RoutingDrain drain = trace->drain();
    CHECK_EQ(drain.prefill.n_tokens, 96);
    CHECK_EQ(drain.decode.n_tokens, 3);
    CHECK_EQ(drain.records.size(), 99u);
    CHECK_EQ(drain.records.back().position, 98);
    CHECK_EQ(drain.records.back().token_id, 5);
    const size_t experts = static_cast<size_t>(info.n_routed_experts);
    for (size_t layer = 0; layer < drain.layers.size(); ++layer) {
      const auto row = drain.prefill.counts.begin() + static_cast<std::ptrdiff_t>(layer * experts);
      CHECK_EQ(std::accumulate(row, row + static_cast<std::ptrdiff_t>(experts), uint64_t{0}),
               static_cast<uint64_t>(96 * info.n_active_experts));
    }
    // The ring agrees with the one-shot query.
    const RouteResult expected = route(model, tokens);
    const size_t k = static_cast<size_t>(info.n_active_experts);
    for (size_t layer = 0; layer < drain.layers.size(); ++layer)
      for (size_t i = 0; i < k; ++i)
        CHECK_EQ(static_cast<int32_t>(drain.records[50].expert_ids[layer * k + i]),
                 expected.expert_ids[(layer * 96 + 50) * k + i]);
  }
}

TEST(only_watched_sessions_are_told) {
  const std::unique_ptr<Golden> golden = open_golden("qwen3moe");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false);
  const ModelInfo& info = model->info();
  const auto trace =
      std::make_shared<RoutingTrace>(model->moe_layers(), info.n_routed_experts, info.n_active_experts, 50);
  Scheduler scheduler(model);
  for (const bool is_watched : {true, false}) {
    GenerateRequest request;
    request.session = open_session(model);
    if (is_watched) request.session->set_routing_observer(trace);
    request.prompt = {5, 6, 7};
    request.max_tokens = 9;
    request.stop_at_end_of_generation = false;
    request.sampler.temperature = 0;
    scheduler.submit(std::move(request));
  }
  scheduler.wait_until_idle();
  const RoutingDrain drain = trace->drain();
  CHECK_EQ(drain.prefill.n_tokens, 3);
  CHECK_EQ(drain.decode.n_tokens, 8);  // the last sampled token is not evaluated
}

TEST(dense_models_have_nothing_to_route) {
  const std::unique_ptr<Golden> golden = open_golden("llama");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden);
  CHECK(model->moe_layers().empty());
  CHECK_THROWS(Error, "no experts", route(model, std::vector<int32_t>{1}));
  CHECK_THROWS(Error, "no multi-token-prediction", mtp_logits(model, std::vector<int32_t>{1, 2}));
}
