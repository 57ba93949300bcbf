// Gemma 3 (arXiv 2503.19786): four norms a layer, two of them on the outputs of attention
// and feed-forward; five windowed layers with their own rotary base for each full one; the
// embedding scaled by sqrt(d). The file's norm weights hold the +1 already.
#include <cmath>

#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

constexpr GqaTraits kTraits{.query_key_norm = QueryKeyNorm::kPerHead, .has_post_norms = true};

void configure_ropes(ConfigReader& reader, ModelConfig& config) {
  RopeSpec local;
  local.n_rot = config.ropes.front().n_rot;
  local.freq_base = reader.number_or("rope.freq_base_swa", "rope_freq_base_window", 10000);
  config.ropes.push_back(local);
  for (LayerConfig& layer : config.layers) layer.rope_index = layer.window > 0 ? 1 : 0;
}

void configure(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kHalfSplit;
  config.activation = Activation::kGeluTanh;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.final_logit_softcap = reader.number_or("final_logit_softcapping", "final_logit_softcap", 0);
  configure_windows(reader, config, /*default_pattern=*/6);
  configure_ropes(reader, config);
  // The 27B model scales by the width per head, not by the head size.
  constexpr int64_t kLayersOf27B = 62;
  if (config.n_layers == kLayersOf27B)
    config.attention_scale =
        1 / std::sqrt(static_cast<double>(config.hidden_size) / static_cast<double>(config.n_heads));
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, kTraits, weights);
}

}  // namespace

extern const Architecture kGemma3{"gemma3", configure, bind_layer, gqa_layer};

}  // namespace moebius
