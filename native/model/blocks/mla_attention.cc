#include <algorithm>

#include "cache/latent_cache.h"
#include "model/blocks/blocks.h"

namespace moebius {

namespace {

MlaShape attention_shape(const ModelConfig& config, LatentCache& cache, int64_t layer) {
  MlaShape shape;
  shape.n_heads = config.n_heads;
  shape.kv_lora_rank = config.mla.kv_lora_rank;
  shape.qk_nope_head_dim = config.mla.qk_nope_head_dim;
  shape.qk_rope_head_dim = config.mla.qk_rope_head_dim;
  shape.v_head_dim = config.mla.v_head_dim;
  shape.scale = static_cast<float>(config.attention_scale);
  shape.cache_format = cache.format();
  shape.row_bytes = cache.rows(layer).row_bytes();
  return shape;
}

struct Projections {
  Rows q;       // [n_tokens, n_heads * (nope + rope)], not rotated yet
  Rows latent;  // [n_tokens, kv_lora_rank + rope]: c_kv before its norm, k_rope not rotated
};

Projections project(ForwardPass& pass, const MlaWeights& weights, const Rows& x) {
  const ModelConfig& config = pass.config();
  const MlaConfig& mla = config.mla;
  const int64_t q_head_dim = mla.qk_nope_head_dim + mla.qk_rope_head_dim;
  const Rows q = pass.rows(config.n_heads * q_head_dim);
  const Rows latent = pass.rows(mla.kv_lora_rank + mla.qk_rope_head_dim);
  if (mla.q_lora_rank == 0) {
    const LinearJob jobs[] = {{&weights.q, q}, {&weights.kv_a, latent}};
    linear(pass.op, x, jobs);
    return {q, latent};
  }
  const Rows q_latent = pass.rows(mla.q_lora_rank);
  const LinearJob jobs[] = {{&weights.q_a, q_latent}, {&weights.kv_a, latent}};
  linear(pass.op, x, jobs);
  rms_norm(pass.op, q_latent, weights.q_a_norm, pass.eps(), q_latent);
  linear(pass.op, q_latent, weights.q_b, q);
  return {q, latent};
}

// The rotary part of every head, gathered: [n_tokens, n_heads * rope].
Rows gather_rotary(OpContext& op, const MlaShape& shape, const Rows& q) {
  const int64_t head_dim = shape.qk_nope_head_dim + shape.qk_rope_head_dim;
  const Rows result = op.rows(q.n_rows, shape.n_heads * shape.qk_rope_head_dim);
  for (int64_t row = 0; row < q.n_rows; ++row)
    for (int64_t head = 0; head < shape.n_heads; ++head)
      std::copy_n(q.row(row) + head * head_dim + shape.qk_nope_head_dim, shape.qk_rope_head_dim,
                  result.row(row) + head * shape.qk_rope_head_dim);
  return result;
}

// Up to this history all heads of expanded attention have about the measured cost. Behind longer
// ones they come in slices of few heads.
constexpr int64_t kMeasuredHistory = 8192;

// Measured with rounded activations: those of float weights cost what they count.
double absorbed_cost(const ForwardPass& pass, QuantFormat weights, int64_t n_past) {
  const bool is_float = weights == QuantFormat::kF32 || weights == QuantFormat::kF16 || weights == QuantFormat::kBF16;
  return is_float || n_past > kMeasuredHistory ? 1 : pass.op.kernel.thresholds_in_use().mla_absorbed_cost;
}

bool wants_expanded(const ForwardPass& pass, QuantFormat weights, const BatchSpan& span) {
  if (pass.batch.mla_form != MlaForm::kAuto) return pass.batch.mla_form == MlaForm::kExpanded;
  if (pass.op.kernel.phase == Phase::kDecode) return false;
  return expands_keys(pass.config().mla, span.n_rows, span.n_past, absorbed_cost(pass, weights, span.n_past));
}

// Neighbouring spans of the same form and cache format share one kernel call.
void attend(ForwardPass& pass, int64_t layer, const Rows& q, const Rows& out) {
  const std::span<const BatchSpan> spans = pass.batch.spans;
  const MlaWeights& weights = pass.layer_weights(layer).mla;
  for (size_t begin = 0; begin < spans.size();) {
    LatentCache& first = static_cast<LatentCache&>(*spans[begin].cache);
    const bool expanded = wants_expanded(pass, weights.k_b.format, spans[begin]);
    const int64_t first_row = spans[begin].first_row;
    std::vector<AttentionSpan> run;
    int64_t n_rows = 0;
    size_t end = begin;
    for (; end < spans.size(); ++end) {
      LatentCache& cache = static_cast<LatentCache&>(*spans[end].cache);
      if (cache.format() != first.format() || wants_expanded(pass, weights.k_b.format, spans[end]) != expanded) break;
      run.push_back({n_rows, spans[end].n_rows, spans[end].n_past, cache.rows(layer).data(), nullptr});
      n_rows += spans[end].n_rows;
    }
    const MlaShape shape = attention_shape(pass.config(), first, layer);
    const Rows q_run = q.slice(first_row, n_rows), out_run = out.slice(first_row, n_rows);
    if (expanded)
      mla_expanded_attention(pass.op, shape, weights.k_b, weights.v_b, q_run, run, out_run);
    else
      attend_absorbed(pass.op, shape, weights.k_b, weights.v_b, q_run, run, out_run);
    begin = end;
  }
}

}  // namespace

MlaOperations mla_operations(const MlaConfig& mla, int64_t n_new, int64_t n_past) {
  const double projection = static_cast<double>(mla.kv_lora_rank * (mla.qk_nope_head_dim + mla.v_head_dim));
  const double absorbed_pair = static_cast<double>(2 * mla.kv_lora_rank + mla.qk_rope_head_dim);
  const double expanded_pair = static_cast<double>(mla.qk_nope_head_dim + mla.qk_rope_head_dim + mla.v_head_dim);
  const double n = static_cast<double>(n_new), past = static_cast<double>(n_past);
  const double pairs = n * (past + n / 2);  // of a query and a key
  return {projection * n + absorbed_pair * pairs, projection * (past + n) + expanded_pair * pairs};
}

bool expands_keys(const MlaConfig& mla, int64_t n_new, int64_t n_past, double absorbed_cost) {
  const MlaOperations operations = mla_operations(mla, n_new, n_past);
  return absorbed_cost * operations.absorbed > operations.expanded;
}

void attend_absorbed(OpContext& op, const MlaShape& shape, const Matrix& k_b, const Matrix& v_b, const Rows& q,
                     std::span<const AttentionSpan> spans, const Rows& out) {
  const Rows q_latent = op.rows(q.n_rows, shape.n_heads * shape.kv_lora_rank);
  const Rows out_latent = op.rows(q.n_rows, shape.n_heads * shape.kv_lora_rank);
  linear_heads(op, k_b, q, shape.qk_nope_head_dim + shape.qk_rope_head_dim, q_latent);
  mla_absorbed_attention(op, shape, q_latent, gather_rotary(op, shape, q), spans, out_latent);
  linear_heads(op, v_b, out_latent, shape.kv_lora_rank, out);
}

void mla_attention(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y) {
  const ModelConfig& config = pass.config();
  const MlaConfig& mla = config.mla;
  const MlaWeights& weights = pass.layer_weights(layer).mla;
  const RopeAngles& angles = pass.angles[pass.layer_config(layer).rope_index];

  const auto [q, latent] = project(pass, weights, x);
  const Rows c_kv = latent.columns(0, mla.kv_lora_rank);
  rms_norm(pass.op, c_kv, weights.kv_a_norm, pass.eps(), c_kv);
  rope(pass.op, latent, latent.n, /*offset=*/mla.kv_lora_rank, angles, config.rope_pairing);
  rope(pass.op, q, mla.qk_nope_head_dim + mla.qk_rope_head_dim, /*offset=*/mla.qk_nope_head_dim, angles,
       config.rope_pairing);
  for (const BatchSpan& span : pass.batch.spans)
    static_cast<LatentCache&>(*span.cache)
        .rows(layer)
        .store(pass.op, span.n_past, latent.slice(span.first_row, span.n_rows));

  const Rows out = pass.rows(config.n_heads * mla.v_head_dim);
  attend(pass, layer, q, out);
  linear(pass.op, out, weights.output, y);
}

}  // namespace moebius
