#include "kernels/cpu/ffn_plan.h"

#include <cmath>

namespace moebius::cpu {

namespace {

FfnWeights expert_slice(const FfnWeights& all, int64_t expert) {
  FfnWeights one = all;
  one.gate_proj = all.gate_proj.slice(expert);
  one.up_proj = all.up_proj.slice(expert);
  one.down_proj = all.down_proj.slice(expert);
  if (all.gate_bias != nullptr) one.gate_bias = all.gate_bias + expert * all.gate_proj.n_out;
  if (all.up_bias != nullptr) one.up_bias = all.up_bias + expert * all.up_proj.n_out;
  if (all.down_bias != nullptr) one.down_bias = all.down_bias + expert * all.down_proj.n_out;
  return one;
}

float shared_weight(const float* router, const float* row, int64_t n) {
  if (router == nullptr) return 1;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(router[i]) * row[i];
  return static_cast<float>(1 / (1 + std::exp(-sum)));
}

}  // namespace

FfnPlan plan_dense_ffn(StepScratch& scratch, const FfnWeights& weights, int64_t n_tokens) {
  FfnPlan plan;
  plan.groups = scratch.take<FfnGroup>(1);
  plan.groups[0] = {expert_slice(weights, 0), 0, n_tokens};
  plan.n_groups = 1;
  plan.n_pairs = plan.n_tokens = n_tokens;
  plan.n_slots = 1;
  plan.tokens = scratch.take<int32_t>(n_tokens);
  plan.slot_pairs = scratch.take<int32_t>(n_tokens);
  auto* ones = scratch.take<float>(n_tokens);
  for (int64_t t = 0; t < n_tokens; ++t) {
    plan.tokens[t] = plan.slot_pairs[t] = static_cast<int32_t>(t);
    ones[t] = 1;
  }
  plan.slot_weights = ones;
  plan.n_in = weights.gate_proj.n_in;
  plan.n_ff = weights.gate_proj.n_out;
  plan.n_out = weights.down_proj.n_out;
  return plan;
}

FfnPlan plan_moe_ffn(StepScratch& scratch, const MoeFfn& moe, const float* x, int64_t n_tokens,
                     const int32_t* expert_ids, const float* routing_weights) {
  const int64_t n_experts = moe.experts.gate_proj.n_matrices, k = moe.n_active_experts;
  const int64_t shared = moe.has_shared_expert ? 1 : 0;
  FfnPlan plan;
  plan.n_tokens = n_tokens;
  plan.n_slots = k + shared;
  plan.n_in = moe.experts.gate_proj.n_in;
  plan.n_out = moe.experts.down_proj.n_out;
  plan.n_ff = std::max(moe.experts.gate_proj.n_out, moe.has_shared_expert ? moe.shared_expert.gate_proj.n_out : 0);
  plan.groups = scratch.take<FfnGroup>(n_experts + shared);
  plan.tokens = scratch.take<int32_t>(n_tokens * plan.n_slots);
  plan.slot_pairs = scratch.take<int32_t>(n_tokens * plan.n_slots);
  auto* weights = scratch.take<float>(n_tokens * plan.n_slots);

  auto* next = scratch.take<int64_t>(n_experts + 1);
  std::fill_n(next, n_experts + 1, 0);
  for (int64_t i = 0; i < n_tokens * k; ++i)
    if (expert_ids[i] >= 0) ++next[expert_ids[i] + 1];
  for (int64_t e = 0; e < n_experts; ++e) {
    if (next[e + 1] > 0) plan.groups[plan.n_groups++] = {expert_slice(moe.experts, e), next[e], next[e + 1], static_cast<int32_t>(e)};
    next[e + 1] += next[e];
  }
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t i = 0; i < k; ++i) {
      const int32_t id = expert_ids[t * k + i];
      int32_t pair = -1;
      if (id >= 0) {
        pair = static_cast<int32_t>(next[id]++);
        plan.tokens[pair] = static_cast<int32_t>(t);
      }
      plan.slot_pairs[t * plan.n_slots + i] = pair;
      weights[t * plan.n_slots + i] = routing_weights[t * k + i];
    }
  }
  plan.n_pairs = next[n_experts];
  if (moe.has_shared_expert) {
    plan.groups[plan.n_groups++] = {expert_slice(moe.shared_expert, 0), plan.n_pairs, n_tokens};
    for (int64_t t = 0; t < n_tokens; ++t) {
      plan.tokens[plan.n_pairs] = static_cast<int32_t>(t);
      plan.slot_pairs[t * plan.n_slots + k] = static_cast<int32_t>(plan.n_pairs++);
      weights[t * plan.n_slots + k] = shared_weight(moe.shared_expert_router, x + t * plan.n_in, plan.n_in);
    }
  }
  plan.slot_weights = weights;
  return plan;
}

}  // namespace moebius::cpu
