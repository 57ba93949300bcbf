#include "model/load_weights.h"

#include <cstdlib>

#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

Linear bind_head(WeightBinder& binder, const ModelConfig& config, const std::string& base,
                 const Linear& fallback) {
  if (!binder.has(base + ".weight")) return fallback;
  return binder.linear(base, config.hidden_size, config.vocab_size);
}

void bind_mtp(WeightBinder& binder, const ModelConfig& config, const ModelWeights& trunk, int64_t layer,
              MtpWeights& mtp) {
  const std::string prefix = block_prefix(layer) + "nextn.";
  const int64_t d = config.hidden_size;
  mtp.eh_proj = binder.linear(prefix + "eh_proj", 2 * d, d);
  mtp.enorm = binder.vector(prefix + "enorm.weight", d);
  mtp.hnorm = binder.vector(prefix + "hnorm.weight", d);
  mtp.embed_tokens = binder.has(prefix + "embed_tokens.weight")
                         ? binder.matrix(prefix + "embed_tokens.weight", d, config.vocab_size)
                         : trunk.token_embedding;
  mtp.head = bind_head(binder, config, prefix + "shared_head_head", trunk.output);
  const float* head_norm = binder.optional_vector(prefix + "shared_head_norm.weight", d);
  if (head_norm == nullptr)
    head_norm = binder.optional_vector(block_prefix(layer) + "layer_output_norm.weight", d);
  mtp.head_norm = head_norm != nullptr ? head_norm : trunk.output_norm;
}

void bind_all(WeightBinder& binder, const Architecture& architecture, const ModelConfig& config,
              ModelWeights& weights) {
  weights.token_embedding = binder.matrix("token_embd.weight", config.hidden_size, config.vocab_size);
  weights.output_norm = binder.vector("output_norm.weight", config.hidden_size);
  const Linear tied{weights.token_embedding, binder.optional_vector("output.bias", config.vocab_size)};
  weights.output = bind_head(binder, config, "output", tied);
  weights.layers.resize(config.layers.size());
  for (int64_t layer = 0; layer < config.n_all_layers(); ++layer)
    architecture.bind_layer(binder, config, layer, weights.layers[static_cast<size_t>(layer)]);
  weights.mtp.resize(static_cast<size_t>(config.n_mtp_layers));
  for (int64_t i = 0; i < config.n_mtp_layers; ++i)
    bind_mtp(binder, config, weights, config.n_layers + i, weights.mtp[static_cast<size_t>(i)]);
}

// Read by the derivation, not by the binder.
bool is_rope_table(const std::string& name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

}  // namespace

DecoderModel load_decoder(const GgufModelFile& file, ConfigReader& reader, bool headers_only,
                          std::vector<std::string>& ignored, bool experts_stay) {
  DecoderModel model;
  model.config = derive_config(reader);
  model.architecture = &architecture_by_name(model.config.architecture);
  for (const RopeSpec& spec : model.config.ropes) model.ropes.push_back(rope_frequencies(spec));
  for (const RopeSpec& spec : model.config.long_ropes) model.long_ropes.push_back(rope_frequencies(spec));
  WeightBinder binder(file, model.weights, headers_only, experts_stay);
  bind_all(binder, *model.architecture, model.config, model.weights);
  for (const std::string& name : binder.ignored_tensors())
    if (!is_rope_table(name)) ignored.push_back(name);
  return model;
}

void stream_experts(const GgufModelFile& file, uint64_t expert_memory, DecoderModel& model) {
  std::vector<LayerExperts> layers = expert_layout(file, model.weights);
  const MoeConfig& moe = model.config.moe;
  const ExpertBudget budget =
      spend_expert_budget(expert_slot_bytes(layers), moe.n_routed_experts, moe.n_active_experts, expert_memory);
  std::vector<std::string> paths;
  for (const GgufFile& part : file.parts()) paths.push_back(part.path());
  const auto tensor_at = [&file](int part, uint64_t offset) {
    for (const GgufTensor& tensor : file.tensors())
      if (tensor.part == part && offset >= tensor.offset && offset < tensor.offset + tensor.n_bytes) return tensor.name;
    return std::string("(unknown)");
  };
  model.experts = std::make_unique<ExpertStore>(paths, std::move(layers), budget.slots_per_layer, tensor_at);
  for (size_t layer = 0; layer < model.weights.layers.size(); ++layer)
    model.weights.layers[layer].moe.source = model.experts->source(static_cast<int64_t>(layer));
}

const char* tensor_class(const std::string& name, int64_t n_layers) {
  if (name == "token_embd.weight") return "embedding";
  if (name == "output.weight" || name == "output.bias") return "head";
  if (name.rfind("blk.", 0) == 0 && std::strtoll(name.c_str() + 4, nullptr, 10) >= n_layers) return "mtp";
  if (contains(name, "_norm") || contains(name, "norm.")) return "norms";
  if (contains(name, "ffn_gate_inp") || contains(name, "exp_probs_b")) return "router";
  if (contains(name, "_shexp")) return "shared_experts";
  if (contains(name, "_exps") || contains(name, "ffn_gate.") || contains(name, "ffn_up.") ||
      contains(name, "ffn_down.")) {
    const size_t at = name.find("ffn_");
    const size_t dot = name.find('.', at);
    const bool per_expert =
        dot != std::string::npos && dot + 1 < name.size() && name[dot + 1] >= '0' && name[dot + 1] <= '9';
    return contains(name, "_exps") || per_expert ? "experts" : "dense";
  }
  if (contains(name, "attn_")) return "attention";
  return "other";
}

}  // namespace moebius
