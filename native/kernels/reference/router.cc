// Expert selection, exact: f32 throughout, ties go to the lower index, losing groups are
// masked with -inf because biased scores can be negative (a masked 0 would then win).
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"

namespace moebius::reference {

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kSmallestWeightSum = 6.1035e-5f;  // llama.cpp's clamp of the sum

void softmax(const float* logits, int64_t n, float* out) {
  const float highest = *std::max_element(logits, logits + n);
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += out[i] = std::exp(logits[i] - highest);
  for (int64_t i = 0; i < n; ++i) out[i] /= sum;
}

void score_experts(ScoreFunc score_func, const float* logits, int64_t n, float* scores) {
  switch (score_func) {
    case ScoreFunc::kSoftmax: softmax(logits, n, scores); return;
    case ScoreFunc::kSigmoid:
      for (int64_t i = 0; i < n; ++i) scores[i] = 1.0f / (1.0f + std::exp(-logits[i]));
      return;
    case ScoreFunc::kSoftmaxSelected: std::copy(logits, logits + n, scores); return;
    case ScoreFunc::kSqrtSoftplus:
      // log1p(exp(x)) equals x in f32 from 20 on, where exp would soon overflow.
      for (int64_t i = 0; i < n; ++i)
        scores[i] = std::sqrt(logits[i] > 20.0f ? logits[i] : std::log1p(std::exp(logits[i])));
      return;
  }
}

// Indices of the k largest, descending, ties to the lower index.
void select_largest(const float* values, int64_t n, int64_t k, int32_t* ids) {
  std::vector<bool> taken(static_cast<size_t>(n), false);
  for (int64_t slot = 0; slot < k; ++slot) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; ++i)
      if (!taken[static_cast<size_t>(i)] && (best < 0 || values[i] > values[best])) best = i;
    taken[static_cast<size_t>(best)] = true;
    ids[slot] = static_cast<int32_t>(best);
  }
}

float group_score(GroupRule rule, const float* z, int64_t n) {
  float first = kMinusInfinity, second = kMinusInfinity;
  for (int64_t i = 0; i < n; ++i) {
    if (z[i] > first) {
      second = first;
      first = z[i];
    } else if (z[i] > second) {
      second = z[i];
    }
  }
  return rule == GroupRule::kMax || n < 2 ? first : first + second;
}

void mask_losing_groups(const RouterRule& rule, float* z) {
  if (rule.n_expert_groups <= 1) return;
  const int64_t size = rule.n_routed_experts / rule.n_expert_groups;
  std::vector<float> scores(static_cast<size_t>(rule.n_expert_groups));
  std::vector<int32_t> kept(static_cast<size_t>(rule.n_active_groups));
  for (int64_t g = 0; g < rule.n_expert_groups; ++g)
    scores[static_cast<size_t>(g)] = group_score(rule.group_rule, z + g * size, size);
  select_largest(scores.data(), rule.n_expert_groups, rule.n_active_groups, kept.data());
  for (int64_t g = 0; g < rule.n_expert_groups; ++g)
    if (std::find(kept.begin(), kept.end(), g) == kept.end()) std::fill_n(z + g * size, size, kMinusInfinity);
}

void weigh(const RouterRule& rule, const float* scores, const int32_t* ids, float* weights) {
  const int64_t k = rule.n_active_experts;
  for (int64_t i = 0; i < k; ++i) weights[i] = scores[ids[i]];
  if (rule.score_func == ScoreFunc::kSoftmaxSelected) softmax(weights, k, weights);
  if (rule.normalize) {
    float sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += weights[i];
    sum = std::max(sum, kSmallestWeightSum);
    for (int64_t i = 0; i < k; ++i) weights[i] /= sum;
  }
  for (int64_t i = 0; i < k; ++i) weights[i] *= rule.routed_scaling_factor;
}

// False when a logit or a score is NaN: nothing may be sorted then.
bool select_row(const RouterRule& rule, const float* logits, int32_t* ids, float* weights,
                float* selection_scores) {
  const int64_t n = rule.n_routed_experts;
  std::vector<float> scores(static_cast<size_t>(n));
  score_experts(rule.score_func, logits, n, scores.data());
  if (std::any_of(scores.begin(), scores.end(), [](float s) { return std::isnan(s); })) {
    std::fill_n(ids, rule.n_active_experts, -1);
    std::fill_n(weights, rule.n_active_experts, 0.0f);
    return false;
  }
  std::vector<float> z = scores;
  if (rule.selection_bias != nullptr)
    for (int64_t i = 0; i < n; ++i) z[static_cast<size_t>(i)] += rule.selection_bias[i];
  if (selection_scores != nullptr) std::copy(z.begin(), z.end(), selection_scores);
  mask_losing_groups(rule, z.data());
  select_largest(z.data(), n, rule.n_active_experts, ids);
  weigh(rule, scores.data(), ids, weights);
  return true;
}

}  // namespace

int64_t select_experts(KernelContext&, const RouterRule& rule, const float* logits,
                       int64_t n_tokens, int32_t* expert_ids, float* routing_weights,
                       float* selection_scores) {
  int64_t first_bad = -1;
  for (int64_t t = 0; t < n_tokens; ++t) {
    const int64_t n = rule.n_routed_experts, k = rule.n_active_experts;
    const bool good = select_row(rule, logits + t * n, expert_ids + t * k, routing_weights + t * k,
                                 selection_scores != nullptr ? selection_scores + t * n : nullptr);
    if (!good && first_bad < 0) first_bad = t;
  }
  return first_bad;
}

}  // namespace moebius::reference
