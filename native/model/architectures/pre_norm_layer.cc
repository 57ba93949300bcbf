#include "model/architectures/architecture.h"

namespace moebius {

namespace {

void add_to_hidden(ForwardPass& pass, const float* post_norm, const Rows& y) {
  if (post_norm != nullptr) rms_norm(pass.op, y, post_norm, pass.eps(), y);
  add(pass.op, pass.hidden, y);
}

}  // namespace

void pre_norm_layer(ForwardPass& pass, int64_t layer, Block attention) {
  const LayerWeights& weights = pass.layer_weights(layer);
  const Rows x = pass.rows(pass.hidden.n), y = pass.rows(pass.hidden.n);

  rms_norm(pass.op, pass.hidden, weights.attn_norm, pass.eps(), x);
  const Scratch::Mark mark = pass.op.kernel.scratch->mark();
  attention(pass, layer, x, y);
  pass.op.kernel.scratch->release(mark);  // The feed-forward block may have the same memory.
  add_to_hidden(pass, weights.post_attention_norm, y);

  rms_norm(pass.op, pass.hidden, weights.ffn_norm, pass.eps(), x);
  if (pass.layer_config(layer).is_moe)
    moe_ffn(pass, layer, x, y);
  else
    dense_ffn(pass, layer, x, y);
  add_to_hidden(pass, weights.post_ffn_norm, y);
}

void gqa_layer(ForwardPass& pass, int64_t layer) { pre_norm_layer(pass, layer, gqa_attention); }

}  // namespace moebius
