// Phi-3 and Phi-4-mini (arXiv 2404.14219): fused q, k, v and fused gate, up; longrope, that is
// one set of rotary divisors up to the original length and another for longer sessions.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

void configure_longrope(ConfigReader& reader, ModelConfig& config) {
  if (!reader.has_tensor("rope_factors_long.weight") || !reader.has_tensor("rope_factors_short.weight"))
    return;
  RopeSpec& rope = config.ropes.front();
  rope.scaling = RopeScaling::kLongRope;
  RopeSpec long_rope = rope;
  rope.frequency_divisors = reader.tensor_values("rope_factors_short.weight", rope.n_rot / 2);
  long_rope.frequency_divisors = reader.tensor_values("rope_factors_long.weight", rope.n_rot / 2);
  config.long_ropes = {long_rope};
  config.long_rope_above = static_cast<int64_t>(rope.original_max_seq_len);
}

void configure(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kHalfSplit;
  configure_longrope(reader, config);
  configure_windows(reader, config, /*default_pattern=*/0);
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, {}, weights);
}

}  // namespace

extern const Architecture kPhi3{"phi3", configure, bind_layer, gqa_layer};

}  // namespace moebius
