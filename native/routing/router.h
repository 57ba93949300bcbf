// The router of one MoE layer, in f32 throughout:
//   logit = W_r x (+ bias); s = score_func(logit); z = s + selection_bias
//   groups: keep the n_active_groups best (max of z, or sum of its two largest), others -inf
//   the n_active_experts largest z, ties to the lower index; w = s[chosen] (never z)
//   w /= sum(w) if normalised; w *= routed_scaling_factor
// (DeepSeek-V2 arXiv 2405.04434, DeepSeek-V3 arXiv 2412.19437 and its inference/model.py.)
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace moebius {

struct Router {
  Linear projection;  // [hidden_size, n_routed_experts], with the router's own bias if any
  RouterRule rule;
};

// Results in scratch, valid until it is released.
struct Routing {
  Rows logits;                        // [n_tokens, n_routed_experts]
  int32_t* expert_ids = nullptr;      // [n_tokens, n_active_experts], selection order
  float* routing_weights = nullptr;   // same shape
  float* selection_scores = nullptr;  // [n_tokens, n_routed_experts] or null
  int64_t nan_row = -1;               // first row with a NaN logit; the rest is not valid then
};

// x [n_tokens, hidden_size].
Routing route_tokens(OpContext& op, const Router& router, const Rows& x, bool wants_selection_scores);

// Throws Error(kGguf) naming `where` unless groups divide the experts, enough experts stay
// eligible, and the limits (k <= 64, E <= 1024) hold.
void validate_router_rule(const RouterRule& rule, const char* where);

const char* score_func_name(ScoreFunc score_func);
const char* group_rule_name(GroupRule group_rule);

}  // namespace moebius
