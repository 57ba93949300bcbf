#include "model/architectures/bind_layer.h"

#include "base/error.h"

namespace moebius {

namespace {

void require_bias(const Linear& linear, const std::string& name) {
  if (linear.bias == nullptr)
    throw Error(ErrorCode::kGguf, format_text("tensor %s.bias is missing", name.c_str()));
}

void bind_query_key_norms(WeightBinder& binder, const ModelConfig& config, int64_t n_kv_heads,
                          const std::string& prefix, QueryKeyNorm kind, GqaWeights& gqa) {
  const std::string q_name = prefix + "attn_q_norm.weight", k_name = prefix + "attn_k_norm.weight";
  if (kind == QueryKeyNorm::kNone || (kind == QueryKeyNorm::kOptional && !binder.has(q_name))) return;
  gqa.norms_whole_rows = kind == QueryKeyNorm::kWholeRow;
  gqa.q_norm = binder.vector(q_name, gqa.norms_whole_rows ? config.n_heads * config.key_dim : config.key_dim);
  gqa.k_norm = binder.vector(k_name, gqa.norms_whole_rows ? n_kv_heads * config.key_dim : config.key_dim);
}

void bind_attention(WeightBinder& binder, const ModelConfig& config, int64_t layer, const GqaTraits& traits,
                    GqaWeights& gqa) {
  const std::string prefix = block_prefix(layer);
  const int64_t n_kv_heads = config.layers[static_cast<size_t>(layer)].n_kv_heads;
  binder.query_key_value(prefix, config.hidden_size, config.n_heads * config.key_dim,
                         n_kv_heads * config.key_dim, n_kv_heads * config.value_dim, gqa);
  if (traits.has_qkv_bias) {
    require_bias(gqa.q, prefix + "attn_q");
    require_bias(gqa.k, prefix + "attn_k");
    require_bias(gqa.v, prefix + "attn_v");
  }
  gqa.output = binder.linear(prefix + "attn_output", config.n_heads * config.value_dim, config.hidden_size);
  bind_query_key_norms(binder, config, n_kv_heads, prefix, traits.query_key_norm, gqa);
  if (traits.has_sinks) gqa.sinks = binder.vector(prefix + "attn_sinks.weight", config.n_heads);
}

RouterRule router_rule(const ModelConfig& config, const float* selection_bias) {
  const MoeConfig& moe = config.moe;
  RouterRule rule;
  rule.score_func = moe.score_func;
  rule.n_routed_experts = moe.n_routed_experts;
  rule.n_active_experts = moe.n_active_experts;
  rule.n_expert_groups = moe.n_expert_groups;
  rule.n_active_groups = moe.n_active_groups;
  rule.group_rule = selection_bias != nullptr ? GroupRule::kSumOfTopTwo : GroupRule::kMax;
  rule.normalize = moe.normalizes_weights;
  rule.routed_scaling_factor = static_cast<float>(moe.routed_scaling_factor);
  rule.selection_bias = selection_bias;
  return rule;
}

const float* bind_selection_bias(WeightBinder& binder, const std::string& prefix, int64_t n_experts) {
  const std::string name = prefix + "exp_probs_b";
  return binder.has(name + ".bias") ? binder.vector(name + ".bias", n_experts)
                                    : binder.optional_vector(name, n_experts);
}

}  // namespace

std::string block_prefix(int64_t layer) { return "blk." + std::to_string(layer) + "."; }

void bind_feed_forward(WeightBinder& binder, const ModelConfig& config, int64_t layer,
                       const GqaTraits& traits, LayerWeights& weights) {
  const std::string prefix = block_prefix(layer);
  const LayerConfig& layer_config = config.layers[static_cast<size_t>(layer)];
  if (!layer_config.is_moe) {
    weights.dense.activation = config.activation;
    binder.feed_forward(prefix, "", config.hidden_size, layer_config.feed_forward, weights.dense);
    return;
  }
  const MoeConfig& moe = config.moe;
  weights.router.projection =
      binder.linear(prefix + "ffn_gate_inp", config.hidden_size, moe.n_routed_experts);
  if (traits.has_router_bias) require_bias(weights.router.projection, prefix + "ffn_gate_inp");
  weights.router.rule = router_rule(config, bind_selection_bias(binder, prefix, moe.n_routed_experts));
  weights.moe.n_active_experts = moe.n_active_experts;
  weights.moe.experts.activation = config.activation;
  binder.experts(prefix, config.hidden_size, moe.expert_feed_forward, moe.n_routed_experts,
                 weights.moe.experts, weights.scattered_experts);
  weights.moe.has_shared_expert = moe.shared_expert_feed_forward > 0;
  if (!weights.moe.has_shared_expert) return;
  weights.moe.shared_expert.activation = config.activation;
  binder.feed_forward(prefix, "_shexp", config.hidden_size, moe.shared_expert_feed_forward,
                      weights.moe.shared_expert);
  if (traits.has_shared_expert_router)
    weights.moe.shared_expert_router =
        binder.vector(prefix + "ffn_gate_inp_shexp.weight", config.hidden_size);
}

void bind_gqa_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, const GqaTraits& traits,
                    LayerWeights& weights) {
  const std::string prefix = block_prefix(layer);
  weights.attn_norm = binder.vector(prefix + "attn_norm.weight", config.hidden_size);
  bind_attention(binder, config, layer, traits, weights.gqa);
  if (traits.has_post_norms) {
    weights.post_attention_norm = binder.vector(prefix + "post_attention_norm.weight", config.hidden_size);
    weights.post_ffn_norm = binder.vector(prefix + "post_ffw_norm.weight", config.hidden_size);
  }
  weights.ffn_norm = binder.vector(prefix + traits.ffn_norm + ".weight", config.hidden_size);
  bind_feed_forward(binder, config, layer, traits, weights);
}

}  // namespace moebius
