#include "routing/routing_trace.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <mutex>

namespace moebius {

struct RoutingTrace::State {
  std::mutex mutex;
  std::vector<int64_t> layers;
  int64_t n_experts, n_active;
  size_t ring_tokens;

  uint32_t epoch = 0;
  uint64_t n_tokens_seen = 0;  // of this epoch
  uint64_t n_tokens_drained = 0;
  uint64_t records_lost = 0;
  RoutingSeries prefill, decode;
  Phase last_phase = Phase::kDecode;
  std::deque<RoutingRecord> ring;

  // The step under way; counts only when it succeeds. Touched by the stepping thread alone.
  RoutingStep step;
  std::vector<int32_t> step_tokens;
  std::vector<int32_t> step_ids;    // [n_moe_layers, n_tokens, n_active]
  std::vector<float> step_weights;  // same shape

  size_t cells() const { return layers.size() * static_cast<size_t>(n_experts); }
  RoutingSeries empty_series() const {
    return {0, std::vector<uint32_t>(cells()), std::vector<float>(cells())};
  }
  void clear() {
    prefill = empty_series();
    decode = empty_series();
    ring.clear();
    records_lost = 0;
  }
  void count_step(int64_t n_rows, RoutingSeries& series);
  void record_step(int64_t n_rows);
};

void RoutingTrace::State::count_step(int64_t n_rows, RoutingSeries& series) {
  series.n_tokens += n_rows;
  const size_t per_layer = static_cast<size_t>(step.n_tokens * n_active);
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    for (size_t i = 0; i < static_cast<size_t>(n_rows * n_active); ++i) {
      const int32_t id = step_ids[layer * per_layer + i];
      if (id < 0) continue;
      const size_t cell = layer * static_cast<size_t>(n_experts) + static_cast<size_t>(id);
      ++series.counts[cell];
      series.mass[cell] += step_weights[layer * per_layer + i];
    }
  }
}

void RoutingTrace::State::record_step(int64_t n_rows) {
  const size_t active = static_cast<size_t>(n_active), n_tokens = static_cast<size_t>(step.n_tokens);
  for (size_t token = 0; token < static_cast<size_t>(n_rows); ++token) {
    if (ring.size() == ring_tokens) {
      ring.pop_front();
      ++records_lost;
    }
    RoutingRecord record;
    record.token_id = step_tokens[token];
    record.position = step.first_position + static_cast<int64_t>(token);
    record.phase = step.phase;
    record.expert_ids.reserve(layers.size() * active);
    record.routing_weights.reserve(layers.size() * active);
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      const size_t first = (layer * n_tokens + token) * active;
      for (size_t i = first; i < first + active; ++i) {
        record.expert_ids.push_back(static_cast<uint16_t>(step_ids[i]));
        record.routing_weights.push_back(step_weights[i]);
      }
    }
    ring.push_back(std::move(record));
  }
}

RoutingTrace::RoutingTrace(std::vector<int64_t> layers, int64_t n_experts, int64_t n_active_experts,
                           int64_t ring_tokens)
    : state_(std::make_unique<State>()) {
  state_->layers = std::move(layers);
  state_->n_experts = n_experts;
  state_->n_active = n_active_experts;
  state_->ring_tokens = static_cast<size_t>(std::max<int64_t>(ring_tokens, 0));
  state_->clear();
}

RoutingTrace::~RoutingTrace() = default;

void RoutingTrace::step_begins(const RoutingStep& step) {
  State& state = *state_;
  state.step = step;
  state.step_tokens.assign(step.token_ids, step.token_ids + step.n_tokens);
  const size_t n = state.layers.size() * static_cast<size_t>(step.n_tokens * state.n_active);
  state.step_ids.assign(n, -1);
  state.step_weights.assign(n, 0.0f);
}

void RoutingTrace::layer_routed(const RoutingBatch& batch) {
  State& state = *state_;
  const size_t n = static_cast<size_t>(batch.n_tokens * batch.n_active_experts);
  const size_t first = static_cast<size_t>(batch.moe_layer) * n;
  if (batch.n_tokens != state.step.n_tokens || first + n > state.step_ids.size()) return;
  std::copy_n(batch.expert_ids, n, state.step_ids.begin() + static_cast<std::ptrdiff_t>(first));
  std::copy_n(batch.routing_weights, n, state.step_weights.begin() + static_cast<std::ptrdiff_t>(first));
}

void RoutingTrace::step_ends(int64_t n_rows) {
  State& state = *state_;
  n_rows = std::min(n_rows, state.step.n_tokens);
  if (n_rows <= 0) return;
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.count_step(n_rows, state.step.phase == Phase::kPrefill ? state.prefill : state.decode);
  state.last_phase = state.step.phase;
  state.n_tokens_seen += static_cast<uint64_t>(n_rows);
  if (state.ring_tokens > 0) state.record_step(n_rows);
}

RoutingDrain RoutingTrace::drain() {
  State& state = *state_;
  const std::lock_guard<std::mutex> lock(state.mutex);
  RoutingDrain result;
  result.epoch = state.epoch;
  result.n_moe_layers = static_cast<int64_t>(state.layers.size());
  result.n_experts = state.n_experts;
  result.n_active_experts = state.n_active;
  result.layers = state.layers;
  result.first_token = state.n_tokens_drained;
  result.last_phase = state.last_phase;
  result.records_lost = state.records_lost;
  result.records.assign(std::make_move_iterator(state.ring.begin()),
                        std::make_move_iterator(state.ring.end()));
  result.prefill = std::move(state.prefill);
  result.decode = std::move(state.decode);
  state.n_tokens_drained = state.n_tokens_seen;
  state.clear();
  return result;
}

void RoutingTrace::reset() {
  State& state = *state_;
  const std::lock_guard<std::mutex> lock(state.mutex);
  ++state.epoch;
  state.n_tokens_seen = state.n_tokens_drained = 0;
  state.clear();
}

}  // namespace moebius
