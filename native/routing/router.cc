#include "routing/router.h"

#include "base/error.h"

namespace moebius {

Routing route_tokens(OpContext& op, const Router& router, const Rows& x, bool wants_selection_scores) {
  const RouterRule& rule = router.rule;
  Routing result;
  result.logits = op.rows(x.n_rows, rule.n_routed_experts);
  result.expert_ids = op.kernel.scratch->take<int32_t>(x.n_rows * rule.n_active_experts);
  result.routing_weights = op.kernel.scratch->take<float>(x.n_rows * rule.n_active_experts);
  if (wants_selection_scores)
    result.selection_scores = op.kernel.scratch->take<float>(x.n_rows * rule.n_routed_experts);
  // A router rounded to int8 would choose other experts.
  const bool was_exact = op.kernel.exact;
  op.kernel.exact = true;
  linear(op, x, router.projection, result.logits);
  op.kernel.exact = was_exact;
  result.nan_row = select_experts(op, rule, result.logits, result.expert_ids, result.routing_weights,
                                  result.selection_scores);
  return result;
}

void validate_router_rule(const RouterRule& rule, const char* where) {
  const auto number = [](int64_t value) { return static_cast<long long>(value); };
  const auto refuse = [](const std::string& text) { throw Error(ErrorCode::kGguf, text); };
  const int64_t experts = rule.n_routed_experts, active = rule.n_active_experts;
  const int64_t groups = rule.n_expert_groups, active_groups = rule.n_active_groups;
  if (experts < 1 || experts > 1024)
    refuse(format_text("%s: expected 1 to 1024 routed experts, got %lld", where, number(experts)));
  if (active < 1 || active > 64 || active > experts)
    refuse(format_text("%s: expected 1 to 64 active experts of %lld, got %lld", where, number(experts),
                       number(active)));
  if (groups < 1 || experts % groups != 0)
    refuse(format_text("%s: %lld expert groups do not divide %lld experts", where, number(groups),
                       number(experts)));
  if (active_groups < 1 || active_groups > groups)
    refuse(format_text("%s: expected 1 to %lld active groups, got %lld", where, number(groups),
                       number(active_groups)));
  if (active_groups * (experts / groups) < active)
    refuse(format_text("%s: %lld active groups of %lld experts hold fewer than %lld active experts", where,
                       number(active_groups), number(experts / groups), number(active)));
}

const char* score_func_name(ScoreFunc score_func) {
  switch (score_func) {
    case ScoreFunc::kSoftmax:
      return "softmax";
    case ScoreFunc::kSigmoid:
      return "sigmoid";
    case ScoreFunc::kSoftmaxSelected:
      return "softmax_selected";
    case ScoreFunc::kSqrtSoftplus:
      return "sqrt_softplus";
  }
  return "";
}

const char* group_rule_name(GroupRule group_rule) {
  return group_rule == GroupRule::kMax ? "max" : "sum_of_top_two";
}

}  // namespace moebius
