// DeepSeekMoE, the first version (arXiv 2401.06066): plain attention, fine-grained experts
// with raw softmax weights, shared experts added as they are.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

void configure(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kAdjacent;
  configure_moe(reader, config, {});
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, {}, weights);
}

}  // namespace

extern const Architecture kDeepseek{"deepseek", configure, bind_layer, gqa_layer};

}  // namespace moebius
