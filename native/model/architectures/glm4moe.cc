// GLM-4.5 (arXiv 2508.06471): half of every head is rotated; sigmoid scores with a selection
// bias; one shared expert; the first layers dense.
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

constexpr GqaTraits kTraits{
    .ffn_norm = "post_attention_norm", .query_key_norm = QueryKeyNorm::kOptional, .has_qkv_bias = true};

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

extern const Architecture kGlm4Moe{"glm4moe", configure, bind_layer, gqa_layer};

}  // namespace moebius
