// OLMoE (arXiv 2409.02060): queries and keys are normed over the whole row before they are
// split into heads; raw softmax weights.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

constexpr GqaTraits kTraits{.query_key_norm = QueryKeyNorm::kWholeRow};

void configure(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kHalfSplit;
  MoeFamily family;
  family.expert_feed_forward = config.layers.front().feed_forward;
  configure_moe(reader, config, family);
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, kTraits, weights);
}

}  // namespace

extern const Architecture kOlmoe{"olmoe", configure, bind_layer, gqa_layer};

}  // namespace moebius
