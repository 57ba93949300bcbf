#include <algorithm>

#include "base/error.h"
#include "model/derive_config.h"
#include "routing/router.h"

namespace moebius {

namespace {

long long number(int64_t value) { return static_cast<long long>(value); }

struct KnownGroups {
  int64_t n_layers, n_experts, hidden_size, n_groups, n_active_groups;
};
// Files written before the group keys existed, told by their shape.
constexpr KnownGroups kKnownGroups[] = {
    {60, 160, 5120, 8, 3},  // DeepSeek-V2, V2.5, Coder-V2
    {61, 256, 7168, 8, 4},  // DeepSeek-V3, V3.1, R1
    {27, 64, 2048, 1, 1},   // V2-Lite, Coder-V2-Lite, Moonlight
    {61, 384, 7168, 1, 1},  // Kimi-K2
};

void use_known_groups(ConfigReader& reader, ModelConfig& config) {
  MoeConfig& moe = config.moe;
  for (const KnownGroups& known : kKnownGroups) {
    if (known.n_layers != config.n_layers || known.n_experts != moe.n_routed_experts ||
        known.hidden_size != config.hidden_size)
      continue;
    moe.n_expert_groups = known.n_groups;
    moe.n_active_groups = known.n_active_groups;
    reader.note("n_expert_groups", moe.n_expert_groups, "table");
    reader.note("n_active_groups", moe.n_active_groups, "table");
    reader.warn(
        format_text("The file has no expert group keys: groups assumed %lld/%lld from the model's shape.",
                    number(known.n_groups), number(known.n_active_groups)));
    return;
  }
  reader.note("n_expert_groups", 1, "default");
  reader.note("n_active_groups", 1, "default");
  if (config.architecture == "deepseek2")
    reader.warn("The file has no expert group keys and its shape is not a known one: groups assumed 1/1.");
}

void derive_groups(ConfigReader& reader, ModelConfig& config) {
  MoeConfig& moe = config.moe;
  const bool has_keys =
      reader.has(reader.key("expert_group_count")) && reader.has(reader.key("expert_group_used_count"));
  if (!has_keys) return use_known_groups(reader, config);
  // 0 is written by converters for models without groups.
  moe.n_expert_groups = std::max<int64_t>(reader.count_or("expert_group_count", "n_expert_groups", 1), 1);
  moe.n_active_groups =
      std::max<int64_t>(reader.count_or("expert_group_used_count", "n_active_groups", 1), 1);
}

ScoreFunc score_func_by_number(const std::string& key, int64_t value) {
  switch (value) {
    case 1:
      return ScoreFunc::kSoftmax;
    case 2:
      return ScoreFunc::kSigmoid;
    case 3:
      return ScoreFunc::kSoftmaxSelected;
    case 4:
      return ScoreFunc::kSqrtSoftplus;
    default:
      break;
  }
  throw Error(ErrorCode::kUnsupported,
              format_text("%s: expected 0 to 4, got %lld", key.c_str(), number(value)));
}

// GLM-4.7-Lite is a deepseek2 file that leaves its score function to its shape.
bool is_glm_lite(const ModelConfig& config) {
  return config.architecture == "deepseek2" && config.vocab_size == 154880 &&
         (config.n_layers == 47 || config.n_layers == 48);
}

ScoreFunc derive_score_func(ConfigReader& reader, const ModelConfig& config, const MoeFamily& family) {
  const std::string key = reader.key("expert_gating_func");
  const int64_t value = family.reads_score_func ? reader.find_integer(key).value_or(0) : 0;
  if (value != 0) {
    const ScoreFunc score_func = score_func_by_number(key, value);
    reader.note("score_func", score_func_name(score_func), "key", key);
    return score_func;
  }
  const ScoreFunc score_func = is_glm_lite(config) ? ScoreFunc::kSigmoid : family.score_func;
  reader.note("score_func", score_func_name(score_func), is_glm_lite(config) ? "table" : "family");
  const std::string bias = format_text("blk.%lld.exp_probs_b.bias", number(config.n_layers - 1));
  if (family.reads_score_func && score_func == ScoreFunc::kSoftmax && reader.has_tensor(bias))
    reader.warn("The file has a selection bias but no expert_gating_func: softmax assumed.");
  return score_func;
}

// Families disagree whether the key counts one shared expert or all: the tensor knows.
void derive_shared_experts(ConfigReader& reader, ModelConfig& config) {
  MoeConfig& moe = config.moe;
  moe.n_shared_experts = reader.count_or("expert_shared_count", "n_shared_experts", 0);
  moe.shared_expert_feed_forward =
      reader.count_or("expert_shared_feed_forward_length", "shared_expert_feed_forward",
                      moe.n_shared_experts * moe.expert_feed_forward);
  for (int64_t layer = 0; layer < config.n_all_layers(); ++layer) {
    const std::string name = format_text("blk.%lld.ffn_up_shexp.weight", number(layer));
    if (!reader.has_tensor(name)) continue;
    moe.shared_expert_feed_forward = reader.tensor_dimension(name, 1);
    reader.note("shared_expert_feed_forward", moe.shared_expert_feed_forward, "tensor", name);
    return;
  }
}

void mark_moe_layers(ConfigReader& reader, ModelConfig& config) {
  const int64_t n_dense = reader.count_or("leading_dense_block_count", "n_dense_layers", 0);
  const int64_t step =
      std::max<int64_t>(reader.count_or("interleave_moe_layer_step", "moe_layer_step", 1), 1);
  for (int64_t layer = 0; layer < config.n_all_layers(); ++layer)
    config.layers[static_cast<size_t>(layer)].is_moe =
        layer >= config.n_layers || (layer >= n_dense && (layer + 1) % step == 0);
}

}  // namespace

void configure_moe(ConfigReader& reader, ModelConfig& config, const MoeFamily& family) {
  MoeConfig& moe = config.moe;
  moe.n_routed_experts = reader.count_or("expert_count", "n_routed_experts", 0);
  if (moe.n_routed_experts == 0) return;
  config.is_moe = true;
  moe.n_active_experts =
      reader.uniform_dimension_or("expert_used_count", "n_active_experts", config.n_all_layers(), 0);
  mark_moe_layers(reader, config);
  moe.expert_feed_forward = reader.uniform_dimension_or("expert_feed_forward_length", "expert_feed_forward",
                                                        config.n_all_layers(), family.expert_feed_forward);
  if (moe.expert_feed_forward < 1)
    throw Error(ErrorCode::kGguf, "expert_feed_forward_length: expected a positive width, got none");
  derive_shared_experts(reader, config);
  moe.score_func = derive_score_func(reader, config, family);
  moe.normalizes_weights =
      family.reads_normalizes
          ? reader.flag_or("expert_weights_norm", "normalizes_weights", family.normalizes_weights)
          : family.normalizes_weights;
  const double scale = reader.number_or("expert_weights_scale", "routed_scaling_factor", 1);
  moe.routed_scaling_factor = scale == 0 ? 1 : scale;
  derive_groups(reader, config);
  RouterRule rule;
  rule.n_routed_experts = moe.n_routed_experts;
  rule.n_active_experts = moe.n_active_experts;
  rule.n_expert_groups = moe.n_expert_groups;
  rule.n_active_groups = moe.n_active_groups;
  validate_router_rule(rule, "expert keys");
}

}  // namespace moebius
