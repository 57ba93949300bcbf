// One step of the decoder: a batch of rows from one or several sequences through all layers.
// The loop is the same for every architecture; what a layer does is in architectures/.
// A ForwardPass lives for one step, its rows in the step's scratch.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/sequence_cache.h"
#include "model/config.h"
#include "model/experts/expert_store.h"
#include "model/step_options.h"
#include "model/weights.h"
#include "routing/routing_trace.h"

namespace moebius {

struct Architecture;

// The model as a step sees it: immutable, shared by all steps.
struct DecoderModel {
  const Architecture* architecture = nullptr;
  ModelConfig config;
  ModelWeights weights;
  std::vector<RopeFrequencies> ropes, long_ropes;
  std::unique_ptr<ExpertStore> experts;  // null: all weights are mapped
};

// Rows [first_row, first_row + n_rows) of the batch continue one sequence at n_past.
struct BatchSpan {
  int64_t first_row = 0, n_rows = 0, n_past = 0;
  SequenceCache* cache = nullptr;
  RoutingObserver* routing_observer = nullptr;
};

struct Batch {
  std::span<const int32_t> token_ids;   // [n_tokens]
  std::span<const BatchSpan> spans;     // in row order, covering all rows
  std::span<const int64_t> logit_rows;  // rows whose logits are wanted, ascending
  MlaForm mla_form = MlaForm::kAuto;
  const std::atomic<bool>* cancel = nullptr;
  const HiddenObserver* hidden_observer = nullptr;
};

struct ForwardPass {
  const DecoderModel& model;
  const Batch& batch;
  OpContext& op;
  Rows hidden;                     // residual stream [n_tokens, hidden_size]
  std::vector<RopeAngles> angles;  // [ropes]
  int64_t moe_layer = 0;           // MoE layers passed so far

  const ModelConfig& config() const { return model.config; }
  const LayerConfig& layer_config(int64_t layer) const {
    return model.config.layers[static_cast<size_t>(layer)];
  }
  const LayerWeights& layer_weights(int64_t layer) const {
    return model.weights.layers[static_cast<size_t>(layer)];
  }
  int64_t n_tokens() const { return hidden.n_rows; }
  Rows rows(int64_t n) { return op.rows(hidden.n_rows, n); }
  float eps() const { return static_cast<float>(model.config.rms_norm_eps); }
};

// Runs the trunk. logits [batch.logit_rows, vocab_size]. The caches must have room. Throws
// Error(kCancelled) between layers, Error(kGguf) for NaN router logits, Error(kBadRequest)
// for a token id outside the vocabulary.
void forward(const DecoderModel& model, OpContext& op, const Batch& batch, const Rows& logits);

// Runs the MTP layer: row i holds token t_{i+1} in batch.token_ids and h_i, the trunk's state
// after its final norm, in final_hidden. logits as forward(); row i predicts t_{i+2}. The
// rows go to the MTP layer's part of the caches, at the spans' own n_past: a constant offset
// from the trunk's positions cancels in the rotation. own_hidden [batch.logit_rows,
// hidden_size] or empty: the layer's state after its norm, which stands in for h_{i+1} when
// drafting goes on.
void forward_mtp(const DecoderModel& model, OpContext& op, const Batch& batch, const Rows& final_hidden,
                 const Rows& logits, const Rows& own_hidden = {});

// The cache a sequence of this model needs, MTP layers included.
std::unique_ptr<SequenceCache> make_cache(const ModelConfig& config, CacheFormat format, int64_t max_seq_len);

// Rotates the cached keys of positions [begin, end), all layers, by `delta` positions.
void rotate_cached_keys(const DecoderModel& model, OpContext& op, SequenceCache& cache, int64_t begin,
                        int64_t end, int64_t delta);

}  // namespace moebius
