// One architecture: the three things that differ between models of the same decoder loop.
// Each file in this folder defines one value per GGUF `general.architecture` and reads as
// the paper: what it derives, which weights a layer has, what a layer does.
#pragma once

#include <string>
#include <vector>

#include "model/blocks/blocks.h"

namespace moebius {

class ConfigReader;
class WeightBinder;

struct Architecture {
  const char* name;
  // Fills what the common derivation does not know; throws Error(kGguf, kUnsupported).
  void (*configure)(ConfigReader& reader, ModelConfig& config);
  void (*bind_layer)(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights);
  void (*forward_layer)(ForwardPass& pass, int64_t layer);
};

// Throws Error(kUnsupported) naming all supported ones.
const Architecture& architecture_by_name(const std::string& name);
std::vector<std::string> architecture_names();  // sorted

// hidden += attention(norm(hidden)); hidden += ffn(norm(hidden)), the ffn being MoE or dense
// by layer. Post norms act on a block's output where the layer has them.
void pre_norm_layer(ForwardPass& pass, int64_t layer, Block attention);
void gqa_layer(ForwardPass& pass, int64_t layer);

}  // namespace moebius
