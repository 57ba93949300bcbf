// Watching the router. A session may have one RoutingObserver; it is told about every layer
// of every step: the experts chosen for each row and their weights, before any pruning.
// RoutingTrace is the observer the inspector uses: counts and mass per (layer, expert),
// prefill and decode apart, plus a ring of the last tokens. A step that was cancelled or
// failed leaves no mark, nor do rows of drafts that did not come true: what a step reports is
// kept aside until it is known how many of its rows count.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernels.h"

namespace moebius {

// The rows of one session in one step of one MoE layer.
struct RoutingBatch {
  int64_t layer = 0;      // transformer layer, from 0
  int64_t moe_layer = 0;  // index among the MoE layers
  int64_t n_tokens = 0;
  int64_t n_active_experts = 0;
  int64_t n_routed_experts = 0;
  const int32_t* expert_ids = nullptr;      // [n_tokens, n_active_experts], selection order
  const float* routing_weights = nullptr;   // same shape, final weights
  const float* router_logits = nullptr;     // [n_tokens, n_routed_experts]
  const float* selection_scores = nullptr;  // same shape; null unless wanted
};

struct RoutingStep {
  Phase phase = Phase::kDecode;
  int64_t n_tokens = 0;
  const int32_t* token_ids = nullptr;  // [n_tokens]
  int64_t first_position = 0;
};

// Called on the thread that runs the step, inside it: must be quick and must not call back
// into the session.
class RoutingObserver {
 public:
  virtual ~RoutingObserver() = default;
  virtual void step_begins(const RoutingStep&) {}
  virtual void layer_routed(const RoutingBatch& batch) = 0;
  // How many of the step's rows count, from its first on: none when it was cancelled or
  // failed, fewer than all when drafts were rejected. With drafts it comes after the step.
  virtual void step_ends(int64_t n_rows) { (void)n_rows; }
  virtual bool wants_selection_scores() const { return false; }
};

// Sums since the last drain. Cells are [n_moe_layers, n_experts], row-major.
struct RoutingSeries {
  int64_t n_tokens = 0;
  std::vector<uint32_t> counts;
  std::vector<float> mass;  // sum of routing weights
};

// One token of the ring.
struct RoutingRecord {
  int32_t token_id = 0;
  int64_t position = 0;
  Phase phase = Phase::kDecode;
  std::vector<uint16_t> expert_ids;    // [n_moe_layers, n_active], selection order
  std::vector<float> routing_weights;  // same shape
};

struct RoutingDrain {
  uint32_t epoch = 0;  // grows with every reset
  int64_t n_moe_layers = 0, n_experts = 0, n_active_experts = 0;
  std::vector<int64_t> layers;  // transformer layer of each MoE layer
  uint64_t first_token = 0;     // counter of the first token in this drain
  RoutingSeries prefill, decode;
  Phase last_phase = Phase::kDecode;
  std::vector<RoutingRecord> records;  // of the tokens since the last drain, oldest first
  uint64_t records_lost = 0;           // overwritten in the ring before they were drained
};

class RoutingTrace final : public RoutingObserver {
 public:
  // layers: transformer layer of each MoE layer. ring_tokens: records kept between drains, 0
  // keeps aggregates only (low-impact mode).
  RoutingTrace(std::vector<int64_t> layers, int64_t n_experts, int64_t n_active_experts, int64_t ring_tokens);
  ~RoutingTrace() override;

  void step_begins(const RoutingStep& step) override;
  void layer_routed(const RoutingBatch& batch) override;
  void step_ends(int64_t n_rows) override;

  // Takes what has gathered since the last call. Any thread.
  RoutingDrain drain();
  // Forgets everything gathered and starts a new epoch. Any thread.
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moebius
