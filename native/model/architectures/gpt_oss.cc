// gpt-oss (arXiv 2508.10925): biases everywhere, an attention sink per head, every even layer
// windowed, the router's softmax taken over the selected experts only, a clamped SwiGLU.
#include <cmath>

#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

constexpr GqaTraits kTraits{
    .ffn_norm = "post_attention_norm", .has_qkv_bias = true, .has_sinks = true, .has_router_bias = true};

// All of a head is rotated, and its size is not hidden_size / n_heads.
void configure_head_size(ConfigReader& reader, ModelConfig& config) {
  if (reader.has(reader.key("attention.key_length")) || !reader.has(reader.key("rope.dimension_count")))
    return;
  config.key_dim = config.value_dim = config.ropes.front().n_rot;
  config.attention_scale = 1 / std::sqrt(static_cast<double>(config.key_dim));
  reader.note("key_dim", config.key_dim, "key", reader.key("rope.dimension_count"));
}

void configure(ConfigReader& reader, ModelConfig& config) {
  configure_head_size(reader, config);
  config.rope_pairing = RopePairing::kHalfSplit;
  config.activation = Activation::kSwigluOai;
  config.ropes.front().rounds_correction_range = false;
  configure_windows(reader, config, /*default_pattern=*/2);
  MoeFamily family;
  family.score_func = ScoreFunc::kSoftmaxSelected;
  family.expert_feed_forward = config.layers.front().feed_forward;
  configure_moe(reader, config, family);
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, kTraits, weights);
}

}  // namespace

extern const Architecture kGptOss{"gpt-oss", configure, bind_layer, gqa_layer};

}  // namespace moebius
