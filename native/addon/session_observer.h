// The one routing observer a session of the addon has. It feeds the session's trace while
// answers are generated, keeps every token for route(), and looks away during logits().
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/session.h"

namespace moebius::addon {

// Every token of one evaluation.
struct CollectedLayer {
  int64_t layer = 0;                   // transformer layer
  std::vector<int32_t> expert_ids;     // [n_tokens, n_active], selection order
  std::vector<float> routing_weights;  // same shape
};

class SessionObserver final : public RoutingObserver {
 public:
  explicit SessionObserver(std::shared_ptr<RoutingTrace> trace) : trace_(std::move(trace)) {}

  // The next three only while no step of the session runs.
  void watch_live() { mode_ = Mode::kLive; }
  void look_away() { mode_ = Mode::kOff; }
  // moe_layers: transformer layer of each MoE layer.
  void start_collecting(const std::vector<int64_t>& moe_layers) {
    collected_.clear();
    for (const int64_t layer : moe_layers) collected_.push_back({layer, {}, {}});
    mode_ = Mode::kCollect;
  }
  std::vector<CollectedLayer> take_collected() { return std::exchange(collected_, {}); }

  void step_begins(const RoutingStep& step) override {
    if (mode_ == Mode::kLive) trace_->step_begins(step);
  }
  void step_ends(int64_t n_rows) override {
    if (mode_ == Mode::kLive) trace_->step_ends(n_rows);
  }
  void layer_routed(const RoutingBatch& batch) override {
    if (mode_ == Mode::kLive) trace_->layer_routed(batch);
    if (mode_ != Mode::kCollect) return;
    CollectedLayer& layer = collected_.at(static_cast<size_t>(batch.moe_layer));
    const int64_t n_slots = batch.n_tokens * batch.n_active_experts;
    layer.expert_ids.insert(layer.expert_ids.end(), batch.expert_ids, batch.expert_ids + n_slots);
    layer.routing_weights.insert(layer.routing_weights.end(), batch.routing_weights, batch.routing_weights + n_slots);
  }

 private:
  enum class Mode { kOff, kLive, kCollect };

  const std::shared_ptr<RoutingTrace> trace_;
  Mode mode_ = Mode::kLive;
  std::vector<CollectedLayer> collected_;
};

}  // namespace moebius::addon
