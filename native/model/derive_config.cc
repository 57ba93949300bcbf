#include "model/derive_config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/architectures/architecture.h"

namespace moebius {

namespace {

long long number(int64_t value) { return static_cast<long long>(value); }

std::string block_tensor(int64_t layer, const char* name) {
  return format_text("blk.%lld.%s", number(layer), name);
}

// block_count includes the MTP layers; files with only one of the two parts exist.
void derive_layers(ConfigReader& reader, ModelConfig& config) {
  const int64_t block_count = reader.dimension("block_count", "n_blocks");
  const int64_t nextn = reader.count_or("nextn_predict_layers", "n_mtp_layers_declared", 0);
  if (block_count > 4096)
    throw Error(ErrorCode::kGguf,
                format_text("block_count: expected at most 4096, got %lld", number(block_count)));
  if (nextn >= block_count)
    throw Error(ErrorCode::kGguf,
                format_text("nextn_predict_layers: expected fewer than block_count (%lld), got %lld",
                            number(block_count), number(nextn)));
  config.n_layers = block_count - nextn;
  reader.note("n_layers", config.n_layers, "key", reader.key("block_count"));
  if (!reader.has_tensor("blk.0.attn_norm.weight") &&
      reader.has_tensor(block_tensor(config.n_layers, "nextn.eh_proj.weight")))
    throw Error(ErrorCode::kUnsupported,
                "this file holds only the multi-token-prediction layer, not the model",
                "Open the model's main file instead.");
  if (nextn == 0) return;
  if (reader.has_tensor(block_tensor(config.n_layers, "nextn.eh_proj.weight"))) {
    config.n_mtp_layers = nextn;
    reader.note("n_mtp_layers", nextn, "tensor", block_tensor(config.n_layers, "nextn.eh_proj.weight"));
  } else {
    reader.note("n_mtp_layers", 0, "tensor", block_tensor(config.n_layers, "nextn.eh_proj.weight"));
    reader.warn("The file declares multi-token-prediction layers but does not hold them: drafting is off.");
  }
}

void derive_vocabulary(ConfigReader& reader, ModelConfig& config) {
  constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
  const int64_t rows = reader.tensor_dimension("token_embd.weight", 1);
  config.vocab_size = rows;
  reader.note("vocab_size", rows, "tensor", "token_embd.weight");
  const auto declared = reader.find_integer(reader.key("vocab_size"));
  if (declared && *declared != rows)
    reader.warn(format_text("vocab_size says %lld, the embedding has %lld rows: the embedding wins.",
                            number(*declared), number(rows)));
  if (rows < 1 || rows > kMaxVocabulary)
    throw Error(ErrorCode::kGguf,
                format_text("token_embd.weight: expected 1 to 2^24 rows, got %lld", number(rows)));
}

void derive_attention(ConfigReader& reader, ModelConfig& config) {
  const int64_t n = config.n_all_layers();
  config.n_heads = reader.uniform_dimension_or("attention.head_count", "n_heads", n, 0);
  if (config.n_heads < 1 || config.n_heads > 4096)
    throw Error(ErrorCode::kGguf,
                format_text("attention.head_count: expected 1 to 4096, got %lld", number(config.n_heads)));
  const int64_t head_dim = std::max<int64_t>(config.hidden_size / config.n_heads, 1);
  config.key_dim = reader.dimension_or("attention.key_length", "key_dim", head_dim);
  config.value_dim = reader.dimension_or("attention.value_length", "value_dim", head_dim);
  const std::vector<int64_t> kv_heads =
      reader.per_layer_or("attention.head_count_kv", "n_kv_heads", n, config.n_heads);
  const std::vector<int64_t> feed_forward = reader.per_layer_or("feed_forward_length", "feed_forward", n, 0);
  config.layers.resize(static_cast<size_t>(n));
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    config.layers[layer].n_kv_heads = kv_heads[layer];
    config.layers[layer].feed_forward = feed_forward[layer];
    if (kv_heads[layer] < 1 || config.n_heads % kv_heads[layer] != 0)
      throw Error(
          ErrorCode::kGguf,
          format_text("attention.head_count_kv of layer %zu: expected a divisor of %lld heads, got %lld",
                      layer, number(config.n_heads), number(kv_heads[layer])));
  }
  const double scale = reader.number_or("attention.scale", "attention_scale", 0);
  config.attention_scale = scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(config.key_dim));
}

RopeScaling rope_scaling_type(ConfigReader& reader) {
  const std::string name = reader.find_text(reader.key("rope.scaling.type")).value_or("linear");
  reader.note("rope_scaling", name, reader.has(reader.key("rope.scaling.type")) ? "key" : "default",
              reader.key("rope.scaling.type"));
  if (name == "none") return RopeScaling::kNone;
  if (name == "linear") return RopeScaling::kLinear;
  if (name == "yarn") return RopeScaling::kYarn;
  if (name == "longrope") return RopeScaling::kLongRope;
  throw Error(
      ErrorCode::kUnsupported,
      format_text("rope.scaling.type: expected none, linear, yarn or longrope, got %s", name.c_str()));
}

// The spelling of everyone but deepseek2, which replaces the magnitude.
double rope_magnitude(ConfigReader& reader, const RopeSpec& spec) {
  const double attn_factor = reader.number_or("rope.scaling.attn_factor", "rope_attn_factor", 1);
  if (spec.scaling != RopeScaling::kYarn) return attn_factor;
  const auto explicit_factor = reader.find_number(reader.key("rope.scaling.yarn_attn_factor"));
  return attn_factor * explicit_factor.value_or(yarn_magnitude(spec.factor, 1));
}

void derive_rope(ConfigReader& reader, ModelConfig& config) {
  if (reader.has(reader.key("rope.dimension_sections")))
    throw Error(ErrorCode::kUnsupported,
                "rope.dimension_sections: multi-axis rotary positions of vision models are not supported");
  RopeSpec spec;
  spec.n_rot = reader.dimension_or("rope.dimension_count", "n_rot", config.key_dim);
  spec.freq_base = reader.number_or("rope.freq_base", "rope_freq_base", 10000);
  spec.scaling = rope_scaling_type(reader);
  const double old_scale = reader.number_or("rope.scale_linear", "rope_factor_old_key", 1);
  spec.factor = reader.number_or("rope.scaling.factor", "rope_factor", old_scale);
  if (spec.factor == 0) spec.factor = 1;
  if (spec.scaling == RopeScaling::kLinear && spec.factor == 1) spec.scaling = RopeScaling::kNone;
  spec.original_max_seq_len =
      reader.number_or("rope.scaling.original_context_length", "rope_original_max_seq_len",
                       static_cast<double>(config.max_seq_len));
  spec.beta_fast = reader.number_or("rope.scaling.yarn_beta_fast", "yarn_beta_fast", 32);
  spec.beta_slow = reader.number_or("rope.scaling.yarn_beta_slow", "yarn_beta_slow", 1);
  spec.magnitude = rope_magnitude(reader, spec);
  // Llama-3's scaling, worked out by the converter.
  if (reader.has_tensor("rope_freqs.weight"))
    spec.frequency_divisors = reader.tensor_values("rope_freqs.weight", spec.n_rot / 2);
  config.ropes = {spec};
}

void validate(const ModelConfig& config) {
  const auto refuse = [](const std::string& text) { throw Error(ErrorCode::kGguf, text); };
  if (config.hidden_size > (1 << 20))
    refuse(format_text("embedding_length: expected at most 2^20, got %lld", number(config.hidden_size)));
  if (config.key_dim > 4096 || config.value_dim > 4096)
    refuse(format_text("attention.key_length: expected heads of at most 4096, got %lld and %lld",
                       number(config.key_dim), number(config.value_dim)));
  if (!(config.rms_norm_eps > 0 && config.rms_norm_eps < 1))
    refuse(format_text("attention.layer_norm_rms_epsilon: expected a value in (0, 1), got %g",
                       config.rms_norm_eps));
  const int64_t head_dim = config.is_mla ? config.mla.qk_rope_head_dim : config.key_dim;
  for (const RopeSpec& rope : config.ropes)
    if (rope.n_rot > head_dim)
      refuse(format_text("rope.dimension_count: expected at most the head size %lld, got %lld",
                         number(head_dim), number(rope.n_rot)));
  for (size_t layer = 0; layer < config.layers.size(); ++layer)
    if (!config.layers[layer].is_moe && config.layers[layer].feed_forward < 1)
      refuse(format_text("feed_forward_length of dense layer %zu: expected a positive width, got %lld", layer,
                         number(config.layers[layer].feed_forward)));
}

}  // namespace

ModelConfig derive_config(ConfigReader& reader) {
  const Architecture& architecture = architecture_by_name(reader.architecture());
  ModelConfig config;
  config.architecture = architecture.name;
  derive_layers(reader, config);
  config.hidden_size = reader.dimension("embedding_length", "hidden_size");
  config.max_seq_len = reader.dimension("context_length", "max_seq_len");
  config.rms_norm_eps = reader.number("attention.layer_norm_rms_epsilon", "rms_norm_eps");
  derive_vocabulary(reader, config);
  derive_attention(reader, config);
  derive_rope(reader, config);
  architecture.configure(reader, config);
  validate(config);
  return config;
}

void configure_windows(ConfigReader& reader, ModelConfig& config, int64_t default_pattern) {
  const int64_t window = reader.count_or("attention.sliding_window", "window", 0);
  if (window == 0) return;
  const std::string pattern_key = "attention.sliding_window_pattern";
  const int64_t n = config.n_all_layers();
  const std::vector<int64_t> pattern = reader.per_layer_or(pattern_key, "window_pattern", n, default_pattern);
  const bool has_flags =
      reader.has(reader.key(pattern_key)) && reader.file().metadata().find(reader.key(pattern_key))->is_array;
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    const int64_t entry = pattern[layer];
    const bool windowed =
        has_flags ? entry != 0 : entry == 0 || static_cast<int64_t>(layer) % entry < entry - 1;
    config.layers[layer].window = windowed ? window : 0;
  }
}

}  // namespace moebius
