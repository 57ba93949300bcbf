#include "sampling/candidates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace moebius {

namespace {

inline float exp_inline(float x) {
  // x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial to degree 7.
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float bounded = x > -87.0f ? x : -87.0f;
  const float n = (bounded * kLog2E + kRound) - kRound;
  const float r = (bounded - n * kLn2High) - n * kLn2Low;
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const float power = std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
  return x > -87.0f ? p * power : 0.0f;
}

}  // namespace

void Candidates::assign(std::span<const float> logits) {
  items_.clear();
  items_.reserve(logits.size());
  for (size_t id = 0; id < logits.size(); ++id)
    if (logits[id] > -std::numeric_limits<float>::infinity())
      items_.push_back({static_cast<int32_t>(id), logits[id]});
  sorted_ = false;
}

void Candidates::sort() {
  if (!sorted_) std::sort(items_.begin(), items_.end(), comes_before);
  sorted_ = true;
}

void Candidates::keep_best(size_t k) {
  if (k < items_.size()) {
    if (!sorted_) std::nth_element(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(k), items_.end(), comes_before);
    items_.resize(k);
  }
  sort();
}

float Candidates::max_logit() const {
  float largest = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : items_) largest = std::max(largest, c.logit);
  return largest;
}

std::span<const float> Candidates::probabilities() {
  probabilities_.resize(items_.size());
  const float largest = max_logit();
  double sum = 0;
  for (size_t i = 0; i < items_.size(); ++i) {
    probabilities_[i] = exp_negative(items_[i].logit - largest);
    sum += probabilities_[i];
  }
  const double scale = 1.0 / sum;
  for (float& p : probabilities_) p = static_cast<float>(p * scale);
  return probabilities_;
}

double log_sum_exp(std::span<const float> logits) {
  float largest = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) largest = logit > largest ? logit : largest;
  // Lanes instead of one running sum: the compiler can work on several logits at once, and
  // the order of additions stays the same on every machine.
  constexpr size_t kLanes = 16;
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    float terms[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) terms[lane] = exp_inline(logits[i + lane] - largest);
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[lane];
  }
  double sum = 0;
  for (; i < logits.size(); ++i) sum += exp_inline(logits[i] - largest);
  for (const double lane : lanes) sum += lane;
  return static_cast<double>(largest) + std::log(sum);
}

float exp_negative(float x) { return exp_inline(x); }

}  // namespace moebius
