#include "sampling/candidates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace moebius {

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

float max_of(std::span<const float> values) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, kMinusInfinity);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
  for (; i < values.size(); ++i) lanes[0] = std::max(lanes[0], values[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

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

// Lanes instead of one running sum: the compiler can work on several logits at once, and the
// order of additions is the same on every machine.
double exp_sum_of(std::span<const float> logits, float largest, float lowest) {
  constexpr size_t kLanes = 16;
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    float terms[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float term = exp_inline(logits[i + lane] - largest);
      terms[lane] = logits[i + lane] >= lowest ? term : 0.0f;
    }
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[lane];
  }
  double sum = 0;
  for (; i < logits.size(); ++i) sum += logits[i] >= lowest ? exp_inline(logits[i] - largest) : 0.0f;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

void Candidates::assign(std::span<float> logits) {
  dense_ = logits;
  items_.clear();
  listed_ = sorted_ = false;
}

std::vector<Candidate>& Candidates::items() {
  if (listed_) return items_;
  for (size_t id = 0; id < dense_.size(); ++id)
    if (dense_[id] > kMinusInfinity) items_.push_back({static_cast<int32_t>(id), dense_[id]});
  listed_ = true;
  return items_;
}

bool Candidates::empty() const { return listed_ ? items_.empty() : max_logit() == kMinusInfinity; }

void Candidates::sort() {
  if (!sorted_) std::sort(items().begin(), items().end(), comes_before);
  sorted_ = true;
}

void Candidates::keep_best(size_t k) {
  if (!listed_ && k < dense_.size() / 4) return select_from_dense(k);
  if (k < items().size()) {
    if (!sorted_) std::nth_element(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(k), items_.end(), comes_before);
    items_.resize(k);
  }
  sort();
}

// One pass with a threshold that rises whenever the list is twice as long as needed. A later
// token with a logit equal to the threshold has a higher id and comes after those kept.
void Candidates::select_from_dense(size_t k) {
  constexpr size_t kBlock = 16;
  const size_t full = 2 * k + 64;
  float threshold = kMinusInfinity;
  const auto take = [&](size_t begin, size_t end) {
    for (size_t id = begin; id < end; ++id)
      if (dense_[id] > threshold) items_.push_back({static_cast<int32_t>(id), dense_[id]});
    if (items_.size() < full) return;
    std::nth_element(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(k) - 1, items_.end(), comes_before);
    threshold = items_[k - 1].logit;
    items_.resize(k);
  };
  size_t begin = 0;
  for (; begin + kBlock <= dense_.size(); begin += kBlock) {
    float lanes[4] = {kMinusInfinity, kMinusInfinity, kMinusInfinity, kMinusInfinity};
    for (size_t i = 0; i < kBlock; i += 4)
      for (size_t lane = 0; lane < 4; ++lane) {
        const float logit = dense_[begin + i + lane];
        lanes[lane] = logit > lanes[lane] ? logit : lanes[lane];
      }
    if (std::max(std::max(lanes[0], lanes[1]), std::max(lanes[2], lanes[3])) > threshold) take(begin, begin + kBlock);
  }
  take(begin, dense_.size());
  listed_ = true;
  keep_best(k);
}

void Candidates::keep_at_least(float lowest) {
  if (listed_) {
    std::erase_if(items_, [&](const Candidate& c) { return !(c.logit >= lowest); });
    return;
  }
  for (size_t id = 0; id < dense_.size(); ++id)
    if (dense_[id] >= lowest && dense_[id] > kMinusInfinity) items_.push_back({static_cast<int32_t>(id), dense_[id]});
  listed_ = true;
}

float Candidates::max_logit() const {
  float largest = kMinusInfinity;
  if (!listed_) return max_of(dense_);
  for (const Candidate& c : items_) largest = std::max(largest, c.logit);
  return largest;
}

double Candidates::exp_sum(float largest, float lowest) const {
  if (!listed_) return exp_sum_of(dense_, largest, lowest);
  double sum = 0;
  for (const Candidate& c : items_) sum += c.logit >= lowest ? exp_inline(c.logit - largest) : 0.0f;
  return sum;
}

int32_t Candidates::best_id() const {
  if (listed_) return std::min_element(items_.begin(), items_.end(), comes_before)->id;
  return static_cast<int32_t>(std::find(dense_.begin(), dense_.end(), max_of(dense_)) - dense_.begin());
}

std::span<const float> Candidates::probabilities() {
  probabilities_.resize(items().size());
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
  const float largest = max_of(logits);
  return static_cast<double>(largest) + std::log(exp_sum_of(logits, largest, kMinusInfinity));
}

float exp_negative(float x) { return exp_inline(x); }

}  // namespace moebius
