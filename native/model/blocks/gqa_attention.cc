#include "cache/kv_cache.h"
#include "model/blocks/blocks.h"

namespace moebius {

namespace {

void norm_heads(ForwardPass& pass, const Rows& x, int64_t head_dim, const float* weight, bool whole_rows) {
  if (weight == nullptr) return;
  if (whole_rows)
    rms_norm(pass.op, x, weight, pass.eps(), x);
  else
    rms_norm_heads(pass.op, x, head_dim, weight, pass.eps());
}

GqaShape attention_shape(const ForwardPass& pass, int64_t layer, KvCache& cache) {
  const ModelConfig& config = pass.config();
  GqaShape shape;
  shape.n_heads = config.n_heads;
  shape.n_kv_heads = pass.layer_config(layer).n_kv_heads;
  shape.key_dim = config.key_dim;
  shape.value_dim = config.value_dim;
  shape.scale = static_cast<float>(config.attention_scale);
  shape.window = pass.layer_config(layer).window;
  shape.sinks = pass.layer_weights(layer).gqa.sinks;
  shape.cache_format = cache.format();
  shape.key_row_bytes = cache.keys(layer).row_bytes();
  shape.value_row_bytes = cache.values(layer).row_bytes();
  return shape;
}

// Spans of one batch may differ in cache format; a run shares one kernel call.
void attend(ForwardPass& pass, int64_t layer, const Rows& q, const Rows& out) {
  const std::span<const BatchSpan> spans = pass.batch.spans;
  for (size_t begin = 0; begin < spans.size();) {
    KvCache& first = static_cast<KvCache&>(*spans[begin].cache);
    const int64_t first_row = spans[begin].first_row;
    std::vector<AttentionSpan> run;
    int64_t n_rows = 0;
    size_t end = begin;
    for (; end < spans.size() && spans[end].cache->format() == first.format(); ++end) {
      KvCache& cache = static_cast<KvCache&>(*spans[end].cache);
      run.push_back({n_rows, spans[end].n_rows, spans[end].n_past, cache.keys(layer).data(),
                     cache.values(layer).data()});
      n_rows += spans[end].n_rows;
    }
    gqa_attention(pass.op, attention_shape(pass, layer, first), q.slice(first_row, n_rows), run,
                  out.slice(first_row, n_rows));
    begin = end;
  }
}

}  // namespace

void gqa_attention(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y) {
  const ModelConfig& config = pass.config();
  const GqaWeights& weights = pass.layer_weights(layer).gqa;
  const int64_t n_kv_heads = pass.layer_config(layer).n_kv_heads;
  const RopeAngles& angles = pass.angles[pass.layer_config(layer).rope_index];

  const Rows q = pass.rows(config.n_heads * config.key_dim);
  const Rows k = pass.rows(n_kv_heads * config.key_dim);
  const Rows v = pass.rows(n_kv_heads * config.value_dim);
  const LinearJob projections[] = {{&weights.q, q}, {&weights.k, k}, {&weights.v, v}};
  linear(pass.op, x, projections);
  norm_heads(pass, q, config.key_dim, weights.q_norm, weights.norms_whole_rows);
  norm_heads(pass, k, config.key_dim, weights.k_norm, weights.norms_whole_rows);
  rope(pass.op, q, config.key_dim, /*offset=*/0, angles, config.rope_pairing);
  rope(pass.op, k, config.key_dim, /*offset=*/0, angles, config.rope_pairing);
  for (const BatchSpan& span : pass.batch.spans) {
    KvCache& cache = static_cast<KvCache&>(*span.cache);
    cache.keys(layer).store(pass.op, span.n_past, k.slice(span.first_row, span.n_rows));
    cache.values(layer).store(pass.op, span.n_past, v.slice(span.first_row, span.n_rows));
  }
  const Rows out = pass.rows(config.n_heads * config.value_dim);
  attend(pass, layer, q, out);
  linear(pass.op, out, weights.output, y);
}

}  // namespace moebius
