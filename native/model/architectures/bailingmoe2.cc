// Ling 2.0 and Ring 2.0 (bailingmoe2): one fused q, k, v projection, normed heads, part of
// every head rotated; DeepSeek-V3's router with sigmoid scores, selection bias and groups.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

constexpr GqaTraits kTraits{.query_key_norm = QueryKeyNorm::kPerHead};

void configure(ConfigReader& reader, ModelConfig& config) {
  config.rope_pairing = RopePairing::kHalfSplit;
  MoeFamily family;
  family.score_func = ScoreFunc::kSigmoid;
  family.reads_score_func = true;
  family.reads_normalizes = true;
  configure_moe(reader, config, family);
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  bind_gqa_layer(binder, config, layer, kTraits, weights);
}

}  // namespace

extern const Architecture kBailingMoe2{"bailingmoe2", configure, bind_layer, gqa_layer};

}  // namespace moebius
