// Binding the tensors most architectures share. A trait says what a family cannot do
// without; what is merely common is bound when the file has it.
#pragma once

#include <string>

#include "model/architectures/architecture.h"
#include "model/derive_config.h"
#include "model/weight_binder.h"

namespace moebius {

enum class QueryKeyNorm { kNone, kOptional, kPerHead, kWholeRow };

struct GqaTraits {
  const char* ffn_norm = "ffn_norm";  // or "post_attention_norm"
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  bool has_qkv_bias = false;
  bool has_sinks = false;
  bool has_post_norms = false;
  bool has_router_bias = false;
  bool has_shared_expert_router = false;
};

std::string block_prefix(int64_t layer);  // "blk.3."

// Norms, GQA attention and feed-forward of one layer.
void bind_gqa_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, const GqaTraits& traits,
                    LayerWeights& weights);

// Norms aside: the dense block, or router, experts and shared expert.
void bind_feed_forward(WeightBinder& binder, const ModelConfig& config, int64_t layer,
                       const GqaTraits& traits, LayerWeights& weights);

}  // namespace moebius
