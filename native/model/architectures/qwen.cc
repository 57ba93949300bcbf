// Qwen2 (arXiv 2407.10671), Qwen2-MoE and Qwen3 with its MoE (arXiv 2505.09388). Qwen2 has
// biases on q, k and v; Qwen3 norms every query and key head before the rotation instead.
// Qwen2-MoE keeps raw softmax weights and scales its shared expert by a sigmoid of its own;
// Qwen3-MoE always normalises and shares none.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

constexpr GqaTraits kQwen2Traits{.has_qkv_bias = true, .has_shared_expert_router = true};
constexpr GqaTraits kQwen3Traits{.query_key_norm = QueryKeyNorm::kPerHead};

void configure_dense(ConfigReader&, ModelConfig& config) { config.rope_pairing = RopePairing::kHalfSplit; }

void configure_qwen2moe(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kHalfSplit;
  const int64_t feed_forward = config.layers.front().feed_forward;
  const int64_t n_active = reader.find_integer(reader.key("expert_used_count")).value_or(1);
  MoeFamily family;
  family.expert_feed_forward = n_active > 0 ? feed_forward / n_active : 0;
  configure_moe(reader, config, family);
  // Every member has one; older files carry no key that says so.
  config.moe.n_shared_experts = 1;
  if (config.moe.shared_expert_feed_forward == 0) config.moe.shared_expert_feed_forward = feed_forward;
}

void configure_qwen3moe(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kHalfSplit;
  MoeFamily family;
  family.normalizes_weights = true;
  configure_moe(reader, config, family);
}

void bind_qwen2(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, kQwen2Traits, weights);
}

void bind_qwen3(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, kQwen3Traits, weights);
}

}  // namespace

extern const Architecture kQwen2{"qwen2", configure_dense, bind_qwen2, gqa_layer};
extern const Architecture kQwen2Moe{"qwen2moe", configure_qwen2moe, bind_qwen2, gqa_layer};
extern const Architecture kQwen3{"qwen3", configure_dense, bind_qwen3, gqa_layer};
extern const Architecture kQwen3Moe{"qwen3moe", configure_qwen3moe, bind_qwen3, gqa_layer};

}  // namespace moebius
