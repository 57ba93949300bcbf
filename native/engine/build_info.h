// From file and decoder to the plain data of model_info.h.
#pragma once

#include <string>

#include "engine/model_info.h"
#include "formats/gguf_model_file.h"
#include "model/config.h"
#include "model/weights.h"

namespace moebius {

// What the container alone tells: paths, metadata, tensor classes, identity.
ModelInfo describe_file(const GgufModelFile& file);
// What the derivation added. selection bias and group rule come from the bound weights.
void describe_model(const GgufModelFile& file, const ModelConfig& config, const ModelWeights& weights, const DerivationLog& log,
                    ModelInfo& info);
// Bytes and parameters by class, once the config is known.
void describe_tensors(const GgufModelFile& file, const ModelConfig& config, ModelInfo& info);

std::vector<MetadataEntry> list_metadata(const GgufModelFile& file);
std::vector<TensorEntry> list_tensors(const GgufModelFile& file);

}  // namespace moebius
