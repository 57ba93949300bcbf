#include "sampling/truncation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace moebius {

void keep_top_n_sigma(Candidates& candidates, float n) {
  double sum = 0, sum_of_squares = 0;
  for (const Candidate& c : candidates.items()) sum += c.logit;
  const double n_candidates = static_cast<double>(candidates.items().size());
  const double mean = sum / n_candidates;
  for (const Candidate& c : candidates.items()) sum_of_squares += (c.logit - mean) * (c.logit - mean);
  const double deviation = std::sqrt(sum_of_squares / n_candidates);
  candidates.keep_at_least(static_cast<float>(candidates.max_logit() - n * deviation));
}

void keep_top_p(Candidates& candidates, float p) {
  const float largest = candidates.max_logit();
  const double wanted = static_cast<double>(p) * candidates.exp_sum(largest, -std::numeric_limits<float>::infinity());
  // The prefix lies among the tokens near the best one, if those are likely enough together;
  // only they need sorting.
  for (const float reach : {4.0f, 8.0f, 16.0f}) {
    if (candidates.exp_sum(largest, largest - reach) < wanted) continue;
    candidates.keep_at_least(largest - reach);
    break;
  }
  candidates.sort();
  const auto& items = candidates.items();
  double cumulative = 0;
  size_t kept = 0;
  while (kept < items.size() && cumulative < wanted) cumulative += exp_negative(items[kept++].logit - largest);
  candidates.keep_prefix(std::max<size_t>(kept, 1));
}

void keep_min_p(Candidates& candidates, float min_p) {
  // ln(1) and above would drop the best token itself.
  candidates.keep_at_least(candidates.max_logit() + std::log(std::min(min_p, 1.0f)));
}

void keep_typical(Candidates& candidates, float p) {
  candidates.sort();
  const std::span<const float> probabilities = candidates.probabilities();
  const size_t n = candidates.items().size();
  std::vector<double> distance(n);
  double entropy = 0;
  for (size_t i = 0; i < n; ++i) {
    distance[i] = probabilities[i] > 0 ? -std::log(static_cast<double>(probabilities[i])) : 1e30;
    if (probabilities[i] > 0) entropy += probabilities[i] * distance[i];
  }
  for (double& d : distance) d = std::fabs(d - entropy);
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return distance[a] != distance[b] ? distance[a] < distance[b] : a < b; });
  size_t kept = 0;
  for (double cumulative = 0; kept < n && cumulative < p; ++kept) cumulative += probabilities[order[kept]];
  order.resize(std::max<size_t>(kept, 1));
  std::sort(order.begin(), order.end());  // back to the likeliest first
  for (size_t i = 0; i < order.size(); ++i) candidates.items()[i] = candidates.items()[order[i]];
  candidates.keep_prefix(order.size());
}

void exclude_top_choices(Candidates& candidates, float threshold) {
  candidates.sort();
  const std::span<const float> probabilities = candidates.probabilities();
  size_t n_above = 0;
  while (n_above < probabilities.size() && probabilities[n_above] >= threshold) ++n_above;
  if (n_above < 2) return;
  auto& items = candidates.items();
  items.erase(items.begin(), items.begin() + static_cast<ptrdiff_t>(n_above - 1));
}

void keep_surprise_below(Candidates& candidates, float mu) {
  candidates.sort();
  const std::span<const float> probabilities = candidates.probabilities();
  size_t kept = 0;
  while (kept < probabilities.size() && probabilities[kept] > 0 && -std::log2(probabilities[kept]) <= mu) ++kept;
  candidates.keep_prefix(std::max<size_t>(kept, 1));
}

void apply_temperature(Candidates& candidates, float temperature) {
  // Subtracting first keeps a tiny temperature from overflowing at the top.
  const float largest = candidates.max_logit();
  for (Candidate& c : candidates.items()) c.logit = (c.logit - largest) / temperature;
}

}  // namespace moebius
