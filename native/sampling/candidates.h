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

// Begins as all logits in the order of ids ("dense") and becomes a list on first need, so
// that penalties and top-k never build a list as long as the vocabulary.
class Candidates {
 public:
  // All tokens with a finite logit. logits: [vocab_size], stays the caller's, must outlive
  // its use here and is changed by the stages.
  void assign(std::span<float> logits);

  // The list; in the order of ids until a stage sorts it.
  std::vector<Candidate>& items();
  // Whether no token is left.
  bool empty() const;

  // Calls logit = change(id, logit) for the given ids, each once, or for more: change must
  // return the logit as it is for any other id.
  template <typename Change>
  void adjust(std::span<const int32_t> ids, const Change& change) {
    if (!listed_) {
      for (const int32_t id : ids) dense_[static_cast<size_t>(id)] = change(id, dense_[static_cast<size_t>(id)]);
      return;
    }
    for (Candidate& c : items_) c.logit = change(c.id, c.logit);
    sorted_ = false;
  }

  // Sorts by comes_before. Does nothing when already sorted.
  void sort();
  // Keeps the k that come first, sorted. k > 0.
  void keep_best(size_t k);
  // Keeps l >= lowest.
  void keep_at_least(float lowest);
  // Keeps the first k of the present order.
  void keep_prefix(size_t k) { items().resize(k); }

  float max_logit() const;
  // Sum of exp(l - largest) over l >= lowest.
  double exp_sum(float largest, float lowest) const;
  // The one that comes first.
  int32_t best_id() const;
  // softmax of the logits, in the present order: f32 exponentials with the maximum
  // subtracted, f64 sum. [n]
  std::span<const float> probabilities();

 private:
  void select_from_dense(size_t k);

  std::span<float> dense_;        // [vocab_size]
  std::vector<Candidate> items_;  // once listed_
  std::vector<float> probabilities_;
  bool listed_ = false;
  bool sorted_ = false;
};

// e^x for x <= 0, within 2 units in the last place, the same bits on every machine (no libm).
// Below -87 the result is 0.
float exp_negative(float x);

// log(sum(exp(logits))), with the maximum subtracted, f64 sum. At least one logit is finite.
double log_sum_exp(std::span<const float> logits);

}  // namespace moebius
