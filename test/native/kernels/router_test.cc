// Exact expert selection on crafted rows (DeepSeek-V2 and V3 group rules included). Two
// deliberately wrong variants must be told apart by the same rows.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/backend.h"
#include "native/test.h"

namespace {

using namespace moebius;

struct Selection {
  std::vector<int32_t> ids;
  std::vector<float> weights;
  int64_t bad_row = -1;
};

Selection select(const RouterRule& rule, const std::vector<float>& logits) {
  KernelContext context;
  const auto n_tokens = static_cast<int64_t>(logits.size()) / rule.n_routed_experts;
  Selection out;
  out.ids.resize(static_cast<size_t>(n_tokens * rule.n_active_experts));
  out.weights.resize(out.ids.size());
  out.bad_row = cpu_backend().kernels().select_experts(context, rule, logits.data(), n_tokens,
                                                       out.ids.data(), out.weights.data(), nullptr);
  return out;
}

RouterRule rule_of(ScoreFunc score_func, int64_t n_experts, int64_t n_active, int64_t groups = 1,
                   int64_t active_groups = 1, GroupRule group_rule = GroupRule::kMax) {
  RouterRule rule;
  rule.score_func = score_func;
  rule.n_routed_experts = n_experts;
  rule.n_active_experts = n_active;
  rule.n_expert_groups = groups;
  rule.n_active_groups = active_groups;
  rule.group_rule = group_rule;
  return rule;
}

std::string text(const std::vector<int32_t>& ids) {
  std::string out;
  for (int32_t id : ids) out += std::to_string(id) + " ";
  return out;
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// A selection written independently of the kernel, with the two known bugs as switches.
std::vector<int32_t> select_by_sorting(const RouterRule& rule, std::vector<float> z, float mask,
                                       GroupRule group_rule) {
  const int64_t size = rule.n_routed_experts / rule.n_expert_groups;
  std::vector<std::pair<float, int64_t>> groups;
  for (int64_t g = 0; g < rule.n_expert_groups; ++g) {
    std::vector<float> members(z.begin() + g * size, z.begin() + (g + 1) * size);
    std::sort(members.rbegin(), members.rend());
    groups.push_back({group_rule == GroupRule::kMax ? members[0] : members[0] + members[1], g});
  }
  std::stable_sort(groups.begin(), groups.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (size_t i = static_cast<size_t>(rule.n_active_groups); i < groups.size(); ++i)
    std::fill_n(z.begin() + groups[i].second * size, size, mask);
  std::vector<int32_t> order(z.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&z](int32_t a, int32_t b) { return z[static_cast<size_t>(a)] > z[static_cast<size_t>(b)]; });
  order.resize(static_cast<size_t>(rule.n_active_experts));
  return order;
}

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

}  // namespace

TEST(ties_go_to_the_lower_index) {
  const RouterRule rule = rule_of(ScoreFunc::kSigmoid, 8, 3, 4, 2);
  // Groups {0,1} {2,3} {4,5} {6,7}: three groups tie at 1, the first two win.
  const Selection got = select(rule, {0, 1, 1, 0, 1, 1, -1, -1});
  CHECK_EQ(text(got.ids), std::string("1 2 0 "));
  CHECK_EQ(got.weights[0], sigmoid(1));
}

TEST(negative_biased_scores_never_lose_to_a_masked_group) {
  RouterRule rule = rule_of(ScoreFunc::kSigmoid, 8, 3, 4, 2, GroupRule::kSumOfTopTwo);
  const std::vector<float> bias(8, -2.0f);
  rule.selection_bias = bias.data();
  const std::vector<float> logits = {-1, -3, 2, 1, -2, 0.5f, 3, -1};
  std::vector<float> z;
  for (size_t i = 0; i < 8; ++i) z.push_back(sigmoid(logits[i]) + bias[i]);
  const Selection got = select(rule, logits);
  CHECK_EQ(text(got.ids), text(select_by_sorting(rule, z, kMinusInfinity, rule.group_rule)));
  // The wrong variant: losing groups masked with 0 beat every negative score.
  CHECK(got.ids != select_by_sorting(rule, z, 0.0f, rule.group_rule));
  // Weights come from the score, never from the biased one.
  CHECK_EQ(got.weights[0], sigmoid(logits[static_cast<size_t>(got.ids[0])]));
}

TEST(v2_takes_the_group_maximum_and_v3_the_sum_of_two) {
  // Group 0 holds the single best expert, group 1 the best pair.
  const std::vector<float> logits = {3, -9, 2, 2, -9, -9, -9, -9};
  RouterRule rule = rule_of(ScoreFunc::kSigmoid, 8, 2, 4, 1);
  const Selection by_max = select(rule, logits);
  CHECK_EQ(text(by_max.ids), std::string("0 1 "));
  rule.group_rule = GroupRule::kSumOfTopTwo;
  const Selection by_sum = select(rule, logits);
  CHECK_EQ(text(by_sum.ids), std::string("2 3 "));
  std::vector<float> z;
  for (float logit : logits) z.push_back(sigmoid(logit));
  // The wrong variant: the sum used for V2.
  CHECK(by_max.ids != select_by_sorting(rule, z, kMinusInfinity, GroupRule::kSumOfTopTwo));
  CHECK(by_max.ids == select_by_sorting(rule, z, kMinusInfinity, GroupRule::kMax));
}

TEST(saturated_sigmoids_and_underflowing_softmaxes_tie_by_index) {
  const Selection saturated = select(rule_of(ScoreFunc::kSigmoid, 6, 3), {1, 40, 60, 50, 0, 2});
  CHECK_EQ(text(saturated.ids), std::string("1 2 3 "));
  const Selection underflow = select(rule_of(ScoreFunc::kSoftmax, 6, 3), {-300, -200, 0, -250, -150, -400});
  CHECK_EQ(text(underflow.ids), std::string("2 0 1 "));
  CHECK_EQ(underflow.weights[0], 1.0f);
  CHECK_EQ(underflow.weights[1], 0.0f);
}

TEST(every_expert_of_the_kept_groups_may_be_needed) {
  RouterRule rule = rule_of(ScoreFunc::kSoftmax, 8, 4, 4, 2);
  const Selection got = select(rule, {0, 1, 9, 2, 3, 8, 5, 6});
  CHECK_EQ(text(got.ids), std::string("2 5 4 3 "));
}

TEST(normalised_weights_are_scaled_after_the_clamped_sum) {
  RouterRule rule = rule_of(ScoreFunc::kSigmoid, 4, 2);
  rule.normalize = true;
  rule.routed_scaling_factor = 2.5f;
  const Selection got = select(rule, {1, 2, 0, -1});
  const float sum = sigmoid(2) + sigmoid(1);
  CHECK_EQ(got.weights[0], sigmoid(2) / sum * 2.5f);
  CHECK_EQ(got.weights[1], sigmoid(1) / sum * 2.5f);
  const Selection tiny = select(rule, {-60, -60, -60, -60});
  CHECK_EQ(tiny.weights[0], sigmoid(-60) / 6.1035e-5f * 2.5f);
}

TEST(softmax_over_the_selected_and_sqrt_softplus) {
  const Selection selected = select(rule_of(ScoreFunc::kSoftmaxSelected, 4, 2), {1, 3, 2, 0});
  CHECK_EQ(text(selected.ids), std::string("1 2 "));
  CHECK_NEAR(selected.weights[0], 1 / (1 + std::exp(-1.0)), 1e-7);
  const Selection softplus = select(rule_of(ScoreFunc::kSqrtSoftplus, 4, 2), {1, 3, 100, 0});
  CHECK_EQ(text(softplus.ids), std::string("2 1 "));
  CHECK_NEAR(softplus.weights[0], 10, 1e-6);
  CHECK_NEAR(softplus.weights[1], std::sqrt(std::log1p(std::exp(3.0))), 1e-6);
}

TEST(a_nan_row_is_reported_and_selects_nothing) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Selection got = select(rule_of(ScoreFunc::kSoftmax, 3, 1), {1, 2, 3, 1, nan, 3, nan, nan, nan});
  CHECK_EQ(got.bad_row, 1);
  CHECK_EQ(got.ids[0], 2);
  CHECK_EQ(got.ids[1], -1);
}
