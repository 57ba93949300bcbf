#include "base/error.h"
#include "model/blocks/blocks.h"

namespace moebius {

namespace {

int64_t position_of_row(const Batch& batch, int64_t row) {
  for (const BatchSpan& span : batch.spans)
    if (row < span.first_row + span.n_rows) return span.n_past + row - span.first_row;
  return -1;
}

bool anyone_wants_scores(const Batch& batch) {
  for (const BatchSpan& span : batch.spans)
    if (span.routing_observer != nullptr && span.routing_observer->wants_selection_scores()) return true;
  return false;
}

void tell_observers(const ForwardPass& pass, int64_t layer, const Routing& routing) {
  const MoeConfig& moe = pass.config().moe;
  for (const BatchSpan& span : pass.batch.spans) {
    if (span.routing_observer == nullptr) continue;
    RoutingBatch rows;
    rows.layer = layer;
    rows.moe_layer = pass.moe_layer;
    rows.n_tokens = span.n_rows;
    rows.n_active_experts = moe.n_active_experts;
    rows.n_routed_experts = moe.n_routed_experts;
    rows.expert_ids = routing.expert_ids + span.first_row * moe.n_active_experts;
    rows.routing_weights = routing.routing_weights + span.first_row * moe.n_active_experts;
    rows.router_logits = routing.logits.row(span.first_row);
    if (routing.selection_scores != nullptr)
      rows.selection_scores = routing.selection_scores + span.first_row * moe.n_routed_experts;
    span.routing_observer->layer_routed(rows);
  }
}

}  // namespace

void moe_ffn(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y) {
  const LayerWeights& weights = pass.layer_weights(layer);
  const Routing routing = route_tokens(pass.op, weights.router, x, anyone_wants_scores(pass.batch));
  if (routing.nan_row >= 0)
    throw Error(
        ErrorCode::kGguf,
        format_text("the router of layer %lld got NaN at position %lld", static_cast<long long>(layer),
                    static_cast<long long>(position_of_row(pass.batch, routing.nan_row))),
        "The file's weights are damaged, or its quantisation overflowed. Get another copy.");
  tell_observers(pass, layer, routing);
  moe_ffn(pass.op, weights.moe, x, routing.expert_ids, routing.routing_weights, y);
}

}  // namespace moebius
