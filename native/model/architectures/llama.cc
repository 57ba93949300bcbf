// Llama (arXiv 2302.13971, 2407.21783) and, with expert_count, Mixtral (arXiv 2401.04088).
// The converter permutes q and k so that rotary pairs are neighbours; Llama-3's rope scaling
// arrives as one divisor per pair in rope_freqs.weight.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

void configure(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kAdjacent;
  MoeFamily mixtral;
  mixtral.normalizes_weights = true;
  mixtral.expert_feed_forward = config.layers.front().feed_forward;
  configure_moe(reader, config, mixtral);
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, {}, weights);
}

}  // namespace

extern const Architecture kLlama{"llama", configure, bind_layer, gqa_layer};

}  // namespace moebius
