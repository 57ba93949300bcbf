// DeepSeek-V2, V3, R1 and their kin (arXiv 2405.04434, 2412.19437): multi-head latent
// attention, then a dense block in the first layers and a mixture of experts with shared
// experts in all others.
#include <cmath>

#include "base/error.h"
#include "model/architectures/bind_layer.h"

namespace moebius {

namespace {

void configure_head_sizes(ConfigReader& reader, ModelConfig& config) {
  MlaConfig& mla = config.mla;
  const bool has_key = reader.has(reader.key("attention.key_length_mla"));
  const bool has_value = reader.has(reader.key("attention.value_length_mla"));
  if (has_key != has_value)
    throw Error(ErrorCode::kGguf,
                "attention.key_length_mla and attention.value_length_mla: expected both or neither");
  mla.has_legacy_kv_b = !has_key;
  reader.note("mla_layout", has_key ? "split k_b, v_b" : "legacy kv_b", has_key ? "key" : "default",
              reader.key("attention.key_length_mla"));
  if (!has_key)
    reader.warn(
        "Written before the MLA split: attn_kv_b is split while loading, its key half kept as a copy.");
  const int64_t key_dim = has_key ? reader.dimension("attention.key_length_mla", "key_dim") : config.key_dim;
  mla.v_head_dim = has_key ? reader.dimension("attention.value_length_mla", "v_head_dim") : config.value_dim;
  mla.kv_lora_rank = reader.dimension("attention.kv_lora_rank", "kv_lora_rank");
  mla.qk_rope_head_dim = reader.dimension("rope.dimension_count", "qk_rope_head_dim");
  mla.qk_nope_head_dim = key_dim - mla.qk_rope_head_dim;
  if (mla.qk_nope_head_dim < 1)
    throw Error(ErrorCode::kGguf,
                format_text("heads of %lld elements leave none beside the %lld rotary ones",
                            static_cast<long long>(key_dim), static_cast<long long>(mla.qk_rope_head_dim)));
  config.key_dim = key_dim;
  config.value_dim = mla.v_head_dim;
  for (LayerConfig& layer : config.layers) layer.n_kv_heads = 1;
}

// The tensor table knows; attention.q_lora_rank is also written by files that have none.
void configure_query_rank(ConfigReader& reader, ModelConfig& config) {
  const char* name = "blk.0.attn_q_a.weight";
  config.mla.q_lora_rank = reader.has_tensor(name) ? reader.tensor_dimension(name, 1) : 0;
  reader.note("q_lora_rank", config.mla.q_lora_rank, "tensor", name);
}

// mscale: yarn_log_multiplier is 0.1 * mscale_all_dim; the softmax scale takes its square
// and cos/sin keep magnitude 1, because mscale equals mscale_all_dim in every such model.
void configure_attention_scale(ConfigReader& reader, ModelConfig& config) {
  const double head_dim = static_cast<double>(config.mla.qk_nope_head_dim + config.mla.qk_rope_head_dim);
  config.attention_scale = 1 / std::sqrt(head_dim);
  RopeSpec& rope = config.ropes.front();
  if (rope.scaling != RopeScaling::kYarn) return;
  const double log_multiplier =
      reader.number_or("rope.scaling.yarn_log_multiplier", "yarn_log_multiplier", 0);
  if (log_multiplier == 0) {
    reader.warn(
        "YaRN without yarn_log_multiplier: the softmax scale stays plain and the rotation is scaled.");
    return;
  }
  const double m = yarn_magnitude(rope.factor, log_multiplier / 0.1);
  config.attention_scale *= m * m;
  rope.magnitude = 1;
}

void configure(ConfigReader& reader, ModelConfig& config) {
  if (reader.has(reader.key("attention.temperature_length")) ||
      reader.has(reader.key("attention.temperature_scale")))
    throw Error(ErrorCode::kUnsupported,
                "attention.temperature_scale: position-dependent query scaling is not supported");
  config.is_mla = true;
  config.rope_pairing = RopePairing::kAdjacent;
  configure_head_sizes(reader, config);
  configure_query_rank(reader, config);
  configure_attention_scale(reader, config);
  MoeFamily family;
  family.reads_score_func = true;
  family.reads_normalizes = true;
  configure_moe(reader, config, family);
}

void bind_attention(WeightBinder& binder, const ModelConfig& config, const std::string& prefix,
                    MlaWeights& weights) {
  const MlaConfig& mla = config.mla;
  const int64_t d = config.hidden_size;
  const int64_t q_rows = config.n_heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim);
  if (mla.q_lora_rank > 0) {
    weights.q_a = binder.linear(prefix + "attn_q_a", d, mla.q_lora_rank);
    weights.q_a_norm = binder.vector(prefix + "attn_q_a_norm.weight", mla.q_lora_rank);
    weights.q_b = binder.linear(prefix + "attn_q_b", mla.q_lora_rank, q_rows);
  } else {
    weights.q = binder.linear(prefix + "attn_q", d, q_rows);
  }
  weights.kv_a = binder.linear(prefix + "attn_kv_a_mqa", d, mla.kv_lora_rank + mla.qk_rope_head_dim);
  weights.kv_a_norm = binder.vector(prefix + "attn_kv_a_norm.weight", mla.kv_lora_rank);
  binder.key_value_up(prefix, config.n_heads, mla, weights);
  weights.output = binder.linear(prefix + "attn_output", config.n_heads * mla.v_head_dim, d);
}

void bind_layer(WeightBinder& binder, const ModelConfig& config, int64_t layer, LayerWeights& weights) {
  const std::string prefix = block_prefix(layer);
  weights.attn_norm = binder.vector(prefix + "attn_norm.weight", config.hidden_size);
  bind_attention(binder, config, prefix, weights.mla);
  weights.ffn_norm = binder.vector(prefix + "ffn_norm.weight", config.hidden_size);
  bind_feed_forward(binder, config, layer, {}, weights);
}

void forward_layer(ForwardPass& pass, int64_t layer) { pre_norm_layer(pass, layer, mla_attention); }

}  // namespace

extern const Architecture kDeepseek2{"deepseek2", configure, bind_layer, forward_layer};

}  // namespace moebius
