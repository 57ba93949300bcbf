// The blocks a transformer layer is composed of. Each reads normalised rows x and writes its
// output rows y, both [n_tokens, hidden_size]; adding y to the residual stream is the
// layer's business. Temporaries are scratch, released with the layer.
#pragma once

#include <cstdint>

#include "model/forward.h"

namespace moebius {

using Block = void (*)(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y);

// Multi-head latent attention: absorbed for decode, expanded or absorbed for prefill by
// expands_keys().
void mla_attention(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y);

// Attention with n_heads queries over n_kv_heads keys and values; MHA when equal. Biases,
// query and key norms, sinks and windows where the layer has them.
void gqa_attention(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y);

// Router, routed experts, shared expert; tells the routing observers.
void moe_ffn(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y);

void dense_ffn(ForwardPass& pass, int64_t layer, const Rows& x, const Rows& y);

// Whether expanding keys and values costs less than absorbed attention for n_new query rows
// behind n_past cached ones: absorbed pays W_kv_b per query, expanded per key, and the expanded
// dot products are shorter. Counted in multiply-adds, of which one of the absorbed form costs
// `absorbed_cost` (kernels/thresholds.h).
bool expands_keys(const MlaConfig& mla, int64_t n_new, int64_t n_past, double absorbed_cost = 1);

// Multiply-adds of one head for n_new query rows behind n_past cached ones, in both forms.
struct MlaOperations {
  double absorbed = 0, expanded = 0;
};
MlaOperations mla_operations(const MlaConfig& mla, int64_t n_new, int64_t n_past);

// The absorbed form: W_UK folded into the query, W_UV applied to the attended latents.
// q [n_tokens, n_heads * (nope + rope)], out [n_tokens, n_heads * v_head_dim].
void attend_absorbed(OpContext& op, const MlaShape& shape, const Matrix& k_b, const Matrix& v_b, const Rows& q,
                     std::span<const AttentionSpan> spans, const Rows& out);

}  // namespace moebius
