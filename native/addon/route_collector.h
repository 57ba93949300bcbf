// A routing observer that keeps every token of one evaluation.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/session.h"

namespace moebius::addon {

class RouteCollector final : public RoutingObserver {
 public:
  struct Layer {
    int64_t layer = 0;                   // transformer layer
    std::vector<int32_t> expert_ids;     // [n_tokens, n_active], selection order
    std::vector<float> routing_weights;  // same shape
  };

  // moe_layers: transformer layer of each MoE layer.
  explicit RouteCollector(const std::vector<int64_t>& moe_layers) {
    for (const int64_t layer : moe_layers) layers_.push_back({layer, {}, {}});
  }

  void layer_routed(const RoutingBatch& batch) override {
    Layer& layer = layers_.at(static_cast<size_t>(batch.moe_layer));
    const int64_t n_slots = batch.n_tokens * batch.n_active_experts;
    layer.expert_ids.insert(layer.expert_ids.end(), batch.expert_ids, batch.expert_ids + n_slots);
    layer.routing_weights.insert(layer.routing_weights.end(), batch.routing_weights, batch.routing_weights + n_slots);
  }

  const std::vector<Layer>& layers() const { return layers_; }

 private:
  std::vector<Layer> layers_;
};

}  // namespace moebius::addon
