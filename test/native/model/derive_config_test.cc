// The derivation rules one by one: what is read, what is guessed and from what, what is
// refused.
#include <cmath>
#include <cstdio>

#include "model/crafted_file.h"

using namespace moebius;
using namespace moebius::test;

namespace {

// Only metadata and tensor names matter to derive_config.
class Metadata {
 public:
  explicit Metadata(const std::string& architecture) : architecture_(architecture) {
    writer_.add_text("general.architecture", architecture);
  }
  Metadata& integer(const std::string& key, int64_t value) {
    writer_.add_integer(architecture_ + "." + key, value);
    return *this;
  }
  Metadata& integers(const std::string& key, const std::vector<int64_t>& values) {
    writer_.add_integers(architecture_ + "." + key, values);
    return *this;
  }
  Metadata& number(const std::string& key, float value) {
    writer_.add_f32(architecture_ + "." + key, value);
    return *this;
  }
  Metadata& text(const std::string& key, const std::string& value) {
    writer_.add_text(architecture_ + "." + key, value);
    return *this;
  }
  Metadata& tensor(const std::string& name, std::vector<int64_t> dims) {
    writer_.add_tensor(name, QuantFormat::kF32, dims, [dims](const GgufWriter::Sink& sink) {
      size_t n = 1;
      for (const int64_t each : dims) n *= static_cast<size_t>(each);
      const std::vector<float> ones(n, 1.0f);
      sink(ones.data(), n * sizeof(float));
    });
    return *this;
  }
  Metadata& common(int64_t n_layers, int64_t hidden_size, int64_t n_heads) {
    integer("block_count", n_layers).integer("embedding_length", hidden_size).integer("context_length", 4096);
    integer("attention.head_count", n_heads).number("attention.layer_norm_rms_epsilon", 1e-6f);
    return tensor("token_embd.weight", {1, 100}).tensor("blk.0.attn_norm.weight", {1});
  }
  ModelConfig derive(DerivationLog* log = nullptr) {
    const std::string path = (std::filesystem::temp_directory_path() / "moebius-metadata.gguf").string();
    writer_.write(path);
    const GgufModelFile file(path);
    std::remove(path.c_str());  // stays mapped
    ConfigReader reader(file);
    ModelConfig config = derive_config(reader);
    if (log != nullptr) *log = reader.log();
    return config;
  }

 private:
  std::string architecture_;
  GgufWriter writer_;
};

Metadata deepseek2(int64_t n_layers, int64_t n_experts, int64_t hidden_size) {
  Metadata file("deepseek2");
  file.common(n_layers, hidden_size, 16)
      .integer("feed_forward_length", 64)
      .integer("leading_dense_block_count", 1);
  file.integer("attention.kv_lora_rank", 512)
      .integer("attention.key_length", 576)
      .integer("attention.value_length", 512);
  file.integer("attention.key_length_mla", 192)
      .integer("attention.value_length_mla", 128)
      .integer("rope.dimension_count", 64);
  if (n_experts > 0)
    file.integer("expert_count", n_experts)
        .integer("expert_used_count", 6)
        .integer("expert_feed_forward_length", 32);
  return file;
}

}  // namespace

TEST(missing_group_keys_come_from_the_shape) {
  struct Case {
    int64_t n_layers, n_experts, hidden_size, groups, active_groups;
  };
  for (const Case& known : {Case{60, 160, 5120, 8, 3}, Case{61, 256, 7168, 8, 4}, Case{27, 64, 2048, 1, 1},
                            Case{61, 384, 7168, 1, 1}}) {
    DerivationLog log;
    const ModelConfig config = deepseek2(known.n_layers, known.n_experts, known.hidden_size).derive(&log);
    CHECK_EQ(config.moe.n_expert_groups, known.groups);
    CHECK_EQ(config.moe.n_active_groups, known.active_groups);
    CHECK_EQ(origin_of(log, "n_expert_groups"), "table");
    CHECK(warns_of(log, "groups assumed"));
  }
  DerivationLog log;
  const ModelConfig config = deepseek2(30, 96, 1024).derive(&log);
  CHECK_EQ(config.moe.n_expert_groups, 1);
  CHECK_EQ(origin_of(log, "n_expert_groups"), "default");
  CHECK(warns_of(log, "not a known one"));
}

TEST(group_keys_win_over_the_table) {
  DerivationLog log;
  const ModelConfig config = deepseek2(61, 256, 7168)
                                 .integer("expert_group_count", 16)
                                 .integer("expert_group_used_count", 2)
                                 .derive(&log);
  CHECK_EQ(config.moe.n_expert_groups, 16);
  CHECK_EQ(config.moe.n_active_groups, 2);
  CHECK_EQ(origin_of(log, "n_expert_groups"), "key");
  CHECK(log.warnings.empty());
}

TEST(impossible_routing_is_refused) {
  const auto with = [](int64_t groups, int64_t active) {
    return deepseek2(10, 64, 256)
        .integer("expert_group_count", groups)
        .integer("expert_group_used_count", active);
  };
  CHECK_THROWS(Error, "do not divide", with(7, 2).derive());
  CHECK_THROWS(Error, "active groups", with(8, 9).derive());
  CHECK_THROWS(Error, "hold fewer", with(32, 2).derive());
  CHECK_THROWS(Error, "1024", deepseek2(10, 2048, 256).derive());
}

TEST(score_func_rules) {
  CHECK(deepseek2(10, 64, 256).derive().moe.score_func == ScoreFunc::kSoftmax);
  CHECK(deepseek2(10, 64, 256).integer("expert_gating_func", 2).derive().moe.score_func ==
        ScoreFunc::kSigmoid);
  CHECK_THROWS(Error, "expert_gating_func", deepseek2(10, 64, 256).integer("expert_gating_func", 9).derive());
  DerivationLog log;
  deepseek2(10, 64, 256).tensor("blk.9.exp_probs_b.bias", {64}).derive(&log);
  CHECK(warns_of(log, "selection bias"));
}

// Figures of the DeepSeek papers' configs.
TEST(yarn_scales_of_deepseek) {
  const auto yarn = [](float log_multiplier) {
    Metadata file = deepseek2(10, 64, 256);
    file.text("rope.scaling.type", "yarn")
        .number("rope.scaling.factor", 40)
        .integer("rope.scaling.original_context_length", 4096);
    if (log_multiplier > 0) file.number("rope.scaling.yarn_log_multiplier", log_multiplier);
    return file;
  };
  CHECK_NEAR(yarn(0.1f).derive().attention_scale, 0.135234, 1e-6);
  CHECK_NEAR(yarn(0.0707f).derive().attention_scale, 0.114721, 1e-6);
  CHECK_NEAR(yarn(0.1f).derive().ropes[0].magnitude, 1, 0);
  DerivationLog log;
  const ModelConfig plain = yarn(0).derive(&log);
  CHECK_NEAR(plain.attention_scale, 1 / std::sqrt(192.0), 1e-12);
  CHECK_NEAR(plain.ropes[0].magnitude, 1.36889, 1e-5);
  CHECK(warns_of(log, "yarn_log_multiplier"));
}

TEST(mla_keys_come_in_pairs) {
  Metadata half("deepseek2");
  half.common(4, 256, 4).integer("attention.kv_lora_rank", 64).integer("attention.key_length_mla", 192);
  CHECK_THROWS(Error, "both or neither", half.derive());
  Metadata narrow("deepseek2");
  narrow.common(4, 256, 4)
      .integer("attention.kv_lora_rank", 64)
      .integer("attention.key_length", 64)
      .integer("rope.dimension_count", 64);
  CHECK_THROWS(Error, "leave none", narrow.derive());
  CHECK_THROWS(Error, "temperature",
               deepseek2(10, 0, 256).number("attention.temperature_scale", 0.1f).derive());
}

TEST(query_rank_comes_from_the_tensor_table) {
  CHECK_EQ(deepseek2(10, 0, 256).integer("attention.q_lora_rank", 999).derive().mla.q_lora_rank, 0);
  CHECK_EQ(deepseek2(10, 0, 256).tensor("blk.0.attn_q_a.weight", {1, 77}).derive().mla.q_lora_rank, 77);
}

TEST(block_count_includes_mtp_layers) {
  const ModelConfig with = deepseek2(10, 64, 256)
                               .integer("nextn_predict_layers", 1)
                               .tensor("blk.9.nextn.eh_proj.weight", {2, 1})
                               .derive();
  CHECK_EQ(with.n_layers, 9);
  CHECK_EQ(with.n_mtp_layers, 1);
  DerivationLog log;
  const ModelConfig trunk_only = deepseek2(10, 64, 256).integer("nextn_predict_layers", 1).derive(&log);
  CHECK_EQ(trunk_only.n_layers, 9);
  CHECK_EQ(trunk_only.n_mtp_layers, 0);
  CHECK(warns_of(log, "drafting is off"));
  CHECK_THROWS(Error, "nextn_predict_layers",
               deepseek2(10, 64, 256).integer("nextn_predict_layers", 10).derive());

  Metadata mtp_only("llama");
  mtp_only.integer("block_count", 3)
      .integer("nextn_predict_layers", 1)
      .tensor("blk.2.nextn.eh_proj.weight", {2, 1});
  CHECK_THROWS(Error, "only the multi-token-prediction", mtp_only.derive());
}

TEST(required_keys_are_named) {
  CHECK_THROWS(Error, "llama.block_count", Metadata("llama").derive());
  CHECK_THROWS(Error, "embedding_length", Metadata("llama").integer("block_count", 2).derive());
  CHECK_THROWS(Error, "token_embd.weight",
               Metadata("llama")
                   .integer("block_count", 2)
                   .integer("embedding_length", 8)
                   .integer("context_length", 8)
                   .number("attention.layer_norm_rms_epsilon", 1e-5f)
                   .derive());
  Metadata no_epsilon("llama");
  no_epsilon.integer("block_count", 2).integer("embedding_length", 8).integer("context_length", 8);
  CHECK_THROWS(Error, "layer_norm_rms_epsilon", no_epsilon.derive());
}

TEST(unknown_architectures_name_the_known_ones) {
  try {
    Metadata("mamba").derive();
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUnsupported);
    CHECK(std::string(error.what()).find("mamba") != std::string::npos);
    CHECK(error.hint().find("deepseek2") != std::string::npos);
    CHECK(error.hint().find("qwen3moe") != std::string::npos);
  }
}

TEST(nonsense_dimensions_are_refused) {
  const auto llama = [] {
    Metadata file("llama");
    file.integer("feed_forward_length", 64);
    return file;
  };
  CHECK_THROWS(Error, "block_count", llama().common(100000, 64, 4).derive());
  CHECK_THROWS(Error, "block_count", llama().common(0, 64, 4).derive());
  CHECK_THROWS(Error, "head_count", llama().common(2, 64, 0).derive());
  CHECK_THROWS(Error, "divisor", llama().common(2, 64, 4).integer("attention.head_count_kv", 3).derive());
  CHECK_THROWS(Error, "divisor", llama().common(2, 64, 4).integer("attention.head_count_kv", 0).derive());
  CHECK_THROWS(Error, "head size", llama().common(2, 64, 4).integer("rope.dimension_count", 64).derive());
  CHECK_THROWS(Error, "positive width", Metadata("llama").common(2, 64, 4).derive());
  CHECK_THROWS(Error, "one entry for each",
               llama().common(3, 64, 4).integers("attention.head_count_kv", {4, 4}).derive());
  CHECK_THROWS(Error, "rope.scaling.type", llama().common(2, 64, 4).text("rope.scaling.type", "su").derive());
  CHECK_THROWS(Error, "dimension_sections",
               llama().common(2, 64, 4).integers("rope.dimension_sections", {1, 2}).derive());
}

TEST(per_layer_values_may_be_scalars_or_arrays) {
  Metadata file("llama");
  const ModelConfig config = file.common(3, 64, 4)
                                 .integers("attention.head_count_kv", {4, 2, 1})
                                 .integers("feed_forward_length", {8, 16, 24})
                                 .derive();
  CHECK_EQ(config.layers[1].n_kv_heads, 2);
  CHECK_EQ(config.layers[2].feed_forward, 24);
}

TEST(windows_follow_the_pattern) {
  const auto gemma = [] {
    Metadata file("gemma3");
    file.common(12, 64, 4).integer("feed_forward_length", 64).integer("attention.sliding_window", 32);
    return file;
  };
  const auto windowed = [](const ModelConfig& config) {
    std::string text;
    for (const LayerConfig& layer : config.layers) text += layer.window > 0 ? 'w' : '.';
    return text;
  };
  CHECK_EQ(windowed(gemma().derive()), "wwwww.wwwww.");
  CHECK_EQ(windowed(gemma().integer("attention.sliding_window_pattern", 3).derive()), "ww.ww.ww.ww.");
  CHECK_EQ(windowed(gemma()
                        .integers("attention.sliding_window_pattern", {1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
                        .derive()),
           "w..w.......w");
  CHECK_EQ(gemma().derive().layers[5].rope_index, 0u);
  CHECK_EQ(gemma().derive().layers[0].rope_index, 1u);
}

TEST(ernie_spaces_its_moe_layers) {
  Metadata file("ernie4_5-moe");
  file.common(7, 64, 4)
      .integer("feed_forward_length", 64)
      .integer("expert_count", 8)
      .integer("expert_used_count", 2);
  file.integer("expert_feed_forward_length", 16)
      .integer("leading_dense_block_count", 2)
      .integer("interleave_moe_layer_step", 2);
  std::string kinds;
  for (const LayerConfig& layer : file.derive().layers) kinds += layer.is_moe ? 'm' : 'd';
  CHECK_EQ(kinds, "dddmdmd");
}

TEST(gpt_oss_heads_are_as_wide_as_their_rotation) {
  Metadata file("gpt-oss");
  file.common(2, 90, 4).integer("feed_forward_length", 64).integer("rope.dimension_count", 64);
  const ModelConfig config = file.derive();
  CHECK_EQ(config.key_dim, 64);
  CHECK_EQ(config.value_dim, 64);
  CHECK_NEAR(config.attention_scale, 0.125, 1e-12);
}
