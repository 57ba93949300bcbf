// The tokens still in the running, with their logits, and the numerics all stages share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moebius {

struct Candidate {
  int32_t id;
  float logit;
};

// Larger logit first, lower id on ties: the one order used everywhere.
inline bool comes_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

class Candidates {
 public:
  // All tokens with a finite logit, in the order of their ids. logits: [vocab_size].
  void assign(std::span<const float> logits);

  std::vector<Candidate>& items() { return items_; }
  const std::vector<Candidate>& items() const { return items_; }
  size_t size() const { return items_.size(); }

  // Sorts by comes_before. Does nothing when already sorted.
  void sort();
  // Keeps the k that come first, sorted.
  void keep_best(size_t k);
  // Keeps the first k of the present order.
  void keep_prefix(size_t k) { items_.resize(k); }
  // Keeps those for which the predicate holds, in order.
  template <typename Predicate>
  void keep_if(const Predicate& predicate) {
    std::erase_if(items_, [&](const Candidate& c) { return !predicate(c); });
  }
  // Call after changing the order or the logits by hand.
  void set_unsorted() { sorted_ = false; }

  float max_logit() const;
  // softmax of the logits, in the present order: f32 exponentials with the maximum
  // subtracted, f64 sum. [size()]
  std::span<const float> probabilities();

 private:
  std::vector<Candidate> items_;
  std::vector<float> probabilities_;
  bool sorted_ = false;
};

// e^x for x <= 0, within 2 units in the last place, the same bits on every machine (no libm).
// Below -87 the result is 0.
float exp_negative(float x);

// log(sum(exp(logits))), with the maximum subtracted, f64 sum. At least one logit is finite.
double log_sum_exp(std::span<const float> logits);

}  // namespace moebius
