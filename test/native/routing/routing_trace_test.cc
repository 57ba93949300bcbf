// What the inspector gets: counts and mass by phase, records in order, nothing of a step that
// failed, nothing lost silently.
#include "routing/routing_trace.h"

#include "native/test.h"

using namespace moebius;

namespace {

constexpr int64_t kExperts = 4, kActive = 2;

RoutingStep step_of(Phase phase, const std::vector<int32_t>& tokens, int64_t position) {
  RoutingStep step;
  step.phase = phase;
  step.n_tokens = static_cast<int64_t>(tokens.size());
  step.token_ids = tokens.data();
  step.first_position = position;
  return step;
}

void route_layer(RoutingTrace& trace, int64_t moe_layer, const std::vector<int32_t>& ids,
                 const std::vector<float>& weights) {
  RoutingBatch batch;
  batch.moe_layer = moe_layer;
  batch.n_tokens = static_cast<int64_t>(ids.size()) / kActive;
  batch.n_active_experts = kActive;
  batch.n_routed_experts = kExperts;
  batch.expert_ids = ids.data();
  batch.routing_weights = weights.data();
  trace.layer_routed(batch);
}

}  // namespace

TEST(counts_mass_and_records) {
  RoutingTrace trace({3, 5}, kExperts, kActive, /*ring_tokens=*/10);
  const std::vector<int32_t> prompt = {11, 12}, next = {13};
  trace.step_begins(step_of(Phase::kPrefill, prompt, 0));
  route_layer(trace, 0, {0, 1, 1, 2}, {0.5f, 0.25f, 1.0f, 2.0f});
  route_layer(trace, 1, {3, 0, 3, 1}, {1, 1, 1, 1});
  trace.step_ends(2);
  trace.step_begins(step_of(Phase::kDecode, next, 2));
  route_layer(trace, 0, {2, 3}, {0.75f, 0.125f});
  route_layer(trace, 1, {1, 2}, {1, 1});
  trace.step_ends(1);

  const RoutingDrain drain = trace.drain();
  CHECK_EQ(drain.n_moe_layers, 2);
  CHECK_EQ(drain.first_token, 0u);
  CHECK(drain.layers == std::vector<int64_t>({3, 5}));
  CHECK_EQ(drain.prefill.n_tokens, 2);
  CHECK_EQ(drain.decode.n_tokens, 1);
  CHECK(drain.prefill.counts == std::vector<uint32_t>({1, 2, 1, 0, 1, 1, 0, 2}));
  CHECK(drain.decode.counts == std::vector<uint32_t>({0, 0, 1, 1, 0, 1, 1, 0}));
  CHECK_NEAR(drain.prefill.mass[1], 1.25, 0);
  CHECK(drain.last_phase == Phase::kDecode);
  CHECK_EQ(drain.records.size(), 3u);
  CHECK_EQ(drain.records[1].token_id, 12);
  CHECK_EQ(drain.records[1].position, 1);
  CHECK(drain.records[1].expert_ids == std::vector<uint16_t>({1, 2, 3, 1}));
  CHECK(drain.records[2].phase == Phase::kDecode);

  const RoutingDrain empty = trace.drain();
  CHECK_EQ(empty.first_token, 3u);
  CHECK_EQ(empty.prefill.n_tokens + empty.decode.n_tokens, 0);
  CHECK(empty.records.empty());
}

TEST(failed_steps_leave_no_mark) {
  RoutingTrace trace({0, 1}, kExperts, kActive, 10);
  const std::vector<int32_t> tokens = {7};
  trace.step_begins(step_of(Phase::kDecode, tokens, 0));
  route_layer(trace, 0, {0, 1}, {1, 1});
  trace.step_ends(0);
  const RoutingDrain drain = trace.drain();
  CHECK_EQ(drain.decode.n_tokens, 0);
  CHECK_EQ(drain.decode.counts[0], 0u);
  CHECK(drain.records.empty());
}

TEST(rows_of_rejected_drafts_leave_no_mark) {
  RoutingTrace trace({0, 1}, kExperts, kActive, 10);
  const std::vector<int32_t> tokens = {7, 8, 9};
  trace.step_begins(step_of(Phase::kDecode, tokens, 4));
  route_layer(trace, 0, {0, 1, 1, 2, 2, 3}, {1, 2, 4, 8, 16, 32});
  route_layer(trace, 1, {3, 2, 2, 1, 1, 0}, {1, 1, 1, 1, 1, 1});
  trace.step_ends(2);
  const RoutingDrain drain = trace.drain();
  CHECK_EQ(drain.decode.n_tokens, 2);
  CHECK(drain.decode.counts == std::vector<uint32_t>({1, 2, 1, 0, 0, 1, 2, 1}));
  CHECK_NEAR(drain.decode.mass[1], 6, 0);
  CHECK_EQ(drain.records.size(), 2u);
  CHECK_EQ(drain.records[1].position, 5);
  CHECK(drain.records[1].expert_ids == std::vector<uint16_t>({1, 2, 2, 1}));
  CHECK_EQ(trace.drain().first_token, 2u);
}

TEST(ring_overwrites_the_oldest_and_says_so) {
  RoutingTrace trace({0}, kExperts, kActive, 3);
  for (int32_t token = 0; token < 5; ++token) {
    const std::vector<int32_t> one = {token};
    trace.step_begins(step_of(Phase::kDecode, one, token));
    route_layer(trace, 0, {token % 4, (token + 1) % 4}, {1, 1});
    trace.step_ends(1);
  }
  const RoutingDrain drain = trace.drain();
  CHECK_EQ(drain.records.size(), 3u);
  CHECK_EQ(drain.records_lost, 2u);
  CHECK_EQ(drain.records.front().position, 2);
  CHECK_EQ(drain.decode.n_tokens, 5);
  CHECK_EQ(trace.drain().records_lost, 0u);
}

TEST(reset_starts_an_epoch_and_aggregates_need_no_ring) {
  RoutingTrace trace({0}, kExperts, kActive, 0);
  const std::vector<int32_t> tokens = {1};
  trace.step_begins(step_of(Phase::kDecode, tokens, 0));
  route_layer(trace, 0, {1, 2}, {1, 1});
  trace.step_ends(1);
  trace.reset();
  RoutingDrain drain = trace.drain();
  CHECK_EQ(drain.epoch, 1u);
  CHECK_EQ(drain.decode.counts[1], 0u);
  trace.step_begins(step_of(Phase::kDecode, tokens, 0));
  route_layer(trace, 0, {1, 2}, {1, 1});
  trace.step_ends(1);
  drain = trace.drain();
  CHECK_EQ(drain.decode.counts[1], 1u);
  CHECK(drain.records.empty());
}
