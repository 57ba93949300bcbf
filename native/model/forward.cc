#include "model/forward.h"

#include <cmath>

#include "base/error.h"
#include "cache/kv_cache.h"
#include "cache/latent_cache.h"
#include "model/architectures/architecture.h"
#include "model/blocks/blocks.h"

namespace moebius {

namespace {

std::vector<int64_t> row_positions(const Batch& batch) {
  std::vector<int64_t> positions;
  positions.reserve(batch.token_ids.size());
  for (const BatchSpan& span : batch.spans)
    for (int64_t row = 0; row < span.n_rows; ++row) positions.push_back(span.n_past + row);
  return positions;
}

// One table for all rows; sequences with long and short rotary factors may share a batch.
RopeAngles angles_of_batch(const DecoderModel& model, OpContext& op, const Batch& batch, size_t rope) {
  if (model.long_ropes.empty()) return rope_angles(op, model.ropes[rope], row_positions(batch));
  const int64_t half = model.ropes[rope].n_rot() / 2;
  const int64_t n_tokens = static_cast<int64_t>(batch.token_ids.size());
  float* cos = op.kernel.scratch->take<float>(n_tokens * half);
  float* sin = op.kernel.scratch->take<float>(n_tokens * half);
  for (const BatchSpan& span : batch.spans) {
    std::vector<int64_t> positions;
    for (int64_t row = 0; row < span.n_rows; ++row) positions.push_back(span.n_past + row);
    const bool is_long = model.config.uses_long_rope(span.cache->max_seq_len());
    const RopeAngles part = rope_angles(op, (is_long ? model.long_ropes : model.ropes)[rope], positions);
    std::copy_n(part.cos, span.n_rows * half, cos + span.first_row * half);
    std::copy_n(part.sin, span.n_rows * half, sin + span.first_row * half);
  }
  return {cos, sin, n_tokens, 2 * half};
}

ForwardPass begin_pass(const DecoderModel& model, OpContext& op, const Batch& batch) {
  const int64_t n_tokens = static_cast<int64_t>(batch.token_ids.size());
  ForwardPass pass{model, batch, op, op.rows(n_tokens, model.config.hidden_size), {}, 0};
  for (size_t rope = 0; rope < model.ropes.size(); ++rope)
    pass.angles.push_back(angles_of_batch(model, op, batch, rope));
  return pass;
}

void stop_if_cancelled(const Batch& batch) {
  if (batch.cancel != nullptr && batch.cancel->load(std::memory_order_relaxed))
    throw Error(ErrorCode::kCancelled, "cancelled");
}

void observe_hidden(const ForwardPass& pass, int64_t index, const Rows& rows) {
  const HiddenObserver* observer = pass.batch.hidden_observer;
  if (observer != nullptr && *observer) (*observer)(index, rows.data, rows.n_rows);
}

void run_layer(ForwardPass& pass, int64_t layer) {
  stop_if_cancelled(pass.batch);
  const Scratch::Mark mark = pass.op.kernel.scratch->mark();
  pass.model.architecture->forward_layer(pass, layer);
  pass.op.kernel.scratch->release(mark);
  if (pass.layer_config(layer).is_moe) ++pass.moe_layer;
}

void copy_rows(const Rows& from, std::span<const int64_t> wanted, const Rows& to) {
  for (size_t i = 0; i < wanted.size(); ++i)
    std::copy_n(from.row(wanted[i]), from.n, to.row(static_cast<int64_t>(i)));
}

// Head over the wanted rows only: normed holds all of them.
void write_logits(ForwardPass& pass, const Rows& normed, const Linear& head, const Rows& logits) {
  const std::span<const int64_t> wanted = pass.batch.logit_rows;
  if (wanted.empty()) return;
  Rows selected = normed;
  if (static_cast<int64_t>(wanted.size()) != normed.n_rows) {
    selected = pass.op.rows(static_cast<int64_t>(wanted.size()), normed.n);
    copy_rows(normed, wanted, selected);
  }
  linear(pass.op, selected, head, logits);
  const double cap = pass.config().final_logit_softcap;
  if (cap <= 0) return;
  for (int64_t row = 0; row < logits.n_rows; ++row)
    for (int64_t i = 0; i < logits.n; ++i)
      logits.row(row)[i] = static_cast<float>(cap * std::tanh(logits.row(row)[i] / cap));
}

}  // namespace

void forward(const DecoderModel& model, OpContext& op, const Batch& batch, const Rows& logits) {
  const ModelWeights& weights = model.weights;
  ForwardPass pass = begin_pass(model, op, batch);

  embed(op, weights.token_embedding, batch.token_ids, static_cast<float>(model.config.embedding_scale),
        pass.hidden);
  observe_hidden(pass, -1, pass.hidden);
  for (int64_t layer = 0; layer < model.config.n_layers; ++layer) {
    run_layer(pass, layer);
    observe_hidden(pass, layer, pass.hidden);
  }
  rms_norm(op, pass.hidden, weights.output_norm, pass.eps(), pass.hidden);
  observe_hidden(pass, model.config.n_layers, pass.hidden);
  write_logits(pass, pass.hidden, weights.output, logits);
}

void forward_mtp(const DecoderModel& model, OpContext& op, const Batch& batch, const Rows& final_hidden,
                 const Rows& logits, const Rows& own_hidden) {
  if (model.weights.mtp.empty())
    throw Error(ErrorCode::kUnsupported, "this model has no multi-token-prediction layer");
  const MtpWeights& mtp = model.weights.mtp.front();
  ForwardPass pass = begin_pass(model, op, batch);

  const Rows joined = pass.rows(2 * model.config.hidden_size);
  const Rows embedding = joined.columns(0, model.config.hidden_size);
  const Rows state = joined.columns(model.config.hidden_size, model.config.hidden_size);
  embed(op, mtp.embed_tokens, batch.token_ids, static_cast<float>(model.config.embedding_scale), pass.hidden);
  rms_norm(op, pass.hidden, mtp.enorm, pass.eps(), embedding);
  rms_norm(op, final_hidden, mtp.hnorm, pass.eps(), state);
  linear(op, joined, mtp.eh_proj, pass.hidden);
  run_layer(pass, model.config.n_layers);
  rms_norm(op, pass.hidden, mtp.head_norm, pass.eps(), pass.hidden);
  if (own_hidden.data != nullptr) copy_rows(pass.hidden, batch.logit_rows, own_hidden);
  write_logits(pass, pass.hidden, mtp.head, logits);
}

std::unique_ptr<SequenceCache> make_cache(const ModelConfig& config, CacheFormat format,
                                          int64_t max_seq_len) {
  if (config.is_mla)
    return std::make_unique<LatentCache>(format, config.n_all_layers(), config.mla.kv_lora_rank,
                                         config.mla.qk_rope_head_dim, max_seq_len);
  std::vector<KvCache::LayerShape> shapes;
  for (const LayerConfig& layer : config.layers)
    shapes.push_back({layer.n_kv_heads, config.key_dim, config.value_dim});
  return std::make_unique<KvCache>(format, shapes, max_seq_len);
}

void rotate_cached_keys(const DecoderModel& model, OpContext& op, SequenceCache& cache, int64_t begin,
                        int64_t end, int64_t delta) {
  const bool is_long = model.config.uses_long_rope(cache.max_seq_len());
  for (int64_t layer = 0; layer < cache.n_layers(); ++layer) {
    const size_t rope = model.config.layers[static_cast<size_t>(layer)].rope_index;
    const RopeFrequencies& frequencies = (is_long ? model.long_ropes : model.ropes)[rope];
    cache.rotate_keys(op, layer, begin, end, delta, frequencies, model.config.rope_pairing);
  }
}

}  // namespace moebius
