// ERNIE 4.5 dense and MoE: Llama's attention; experts in every step-th layer after the dense
// ones, softmax scores with an optional selection bias, always normalised.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

void configure_dense(ConfigReader&, ModelConfig& config) { config.rope_pairing = RopePairing::kAdjacent; }

void configure_experts(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kAdjacent;
  MoeFamily family;
  family.normalizes_weights = true;
  configure_moe(reader, config, family);
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, {}, weights);
}

}  // namespace

extern const Architecture kErnie45{"ernie4_5", configure_dense, bind_layer, gqa_layer};
extern const Architecture kErnie45Moe{"ernie4_5-moe", configure_experts, bind_layer, gqa_layer};

}  // namespace moebius
