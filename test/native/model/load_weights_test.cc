// Files whose tensors do not fit their metadata, and the layouts older and newer converters
// write.
#include <cmath>
#include <cstring>

#include "model/crafted_file.h"
#include "quant/quant_format.h"

using namespace moebius;
using namespace moebius::test;

TEST(inconsistent_tensors_are_refused_by_name) {
  {
    CraftedFile file("deepseek2-v3");
    file.drop_tensor("blk.1.attn_kv_a_norm.weight");
    CHECK_THROWS(Error, "blk.1.attn_kv_a_norm.weight is missing, expected [64]", load_file(file.write()));
  }
  {
    CraftedFile file("deepseek2-v3");
    file.set_tensor("blk.1.ffn_gate_inp.weight", {64, 11}, std::vector<float>(64 * 11));
    CHECK_THROWS(Error, "blk.1.ffn_gate_inp.weight: expected [64, 12], got [64, 11]",
                 load_file(file.write()));
  }
  {
    CraftedFile file("qwen3moe");
    file.set_integer("qwen3moe.expert_feed_forward_length", 33);
    CHECK_THROWS(Error, "expected [64, 33, 12], got [64, 32, 12]", load_file(file.write()));
  }
  {
    CraftedFile file("qwen2");
    file.drop_tensor("blk.0.attn_k.bias");
    CHECK_THROWS(Error, "blk.0.attn_k.bias is missing", load_file(file.write()));
  }
  {
    CraftedFile file("gpt-oss");
    file.drop_tensor("blk.2.attn_sinks.weight");
    CHECK_THROWS(Error, "blk.2.attn_sinks.weight is missing", load_file(file.write()));
  }
  {
    CraftedFile file("llama");
    file.set_integer("llama.attention.head_count", 6);
    CHECK_THROWS(Error, "blk.0.attn_", load_file(file.write()));
  }
}

TEST(norms_with_nan_are_refused) {
  CraftedFile file("llama");
  std::vector<float> norm = file.values("blk.1.ffn_norm.weight");
  norm[3] = std::nanf("");
  const std::vector<int64_t> dims = {static_cast<int64_t>(norm.size())};
  file.set_tensor("blk.1.ffn_norm.weight", dims, norm);
  CHECK_THROWS(Error, "blk.1.ffn_norm.weight: element 3 is not finite", load_file(file.write()));
  // Inspection reads no weight, so it does not mind.
  load_file(file.write(), /*headers_only=*/true);
}

TEST(unused_tensors_are_listed) {
  CraftedFile file("llama");
  file.set_tensor("blk.0.mystery.weight", {4}, {1, 2, 3, 4});
  const LoadedDecoder loaded = load_file(file.write());
  CHECK_EQ(loaded.ignored.size(), 1u);
  CHECK_EQ(loaded.ignored.front(), "blk.0.mystery.weight");
}

TEST(missing_output_means_tied) {
  CraftedFile file("llama");
  file.drop_tensor("output.weight");
  const LoadedDecoder loaded = load_file(file.write());
  CHECK(loaded.model.weights.output.weight.data == loaded.model.weights.token_embedding.data);
}

TEST(trunk_only_files_load_without_mtp) {
  CraftedFile file("deepseek2-v3-mtp");
  for (const GgufTensor& tensor : file.source().tensors())
    if (tensor.name.rfind("blk.2.", 0) == 0) file.drop_tensor(tensor.name);
  const LoadedDecoder loaded = load_file(file.write());
  CHECK_EQ(loaded.model.config.n_mtp_layers, 0);
  CHECK_EQ(loaded.model.config.n_layers, 2);
  CHECK(warns_of(loaded.log, "drafting is off"));
}

TEST(selection_bias_may_lack_its_suffix) {
  CraftedFile file("deepseek2-v3");
  file.rename_tensor("blk.1.exp_probs_b.bias", "blk.1.exp_probs_b");
  const RouterRule rule = load_file(file.write()).model.weights.layers[1].router.rule;
  CHECK(rule.selection_bias != nullptr);
  CHECK(rule.group_rule == GroupRule::kSumOfTopTwo);
}

// The converter of early 2024 wrote each expert as a tensor of its own.
TEST(mixtral_experts_one_by_one_equal_the_stack) {
  CraftedFile file("mixtral");
  const std::vector<std::string> kinds = {"gate", "down", "up"};
  std::vector<std::vector<float>> parts;
  for (int layer = 0; layer < 3; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".ffn_";
    for (const std::string& kind : kinds) {
      const GgufTensor* stack = file.source().find_tensor(prefix + kind + "_exps.weight");
      const std::vector<float> values = file.values(stack->name);
      file.drop_tensor(stack->name);
      const size_t n = static_cast<size_t>(stack->dims[0] * stack->dims[1]);
      for (int64_t expert = 0; expert < stack->dims[2]; ++expert) {
        const float* first = values.data() + static_cast<size_t>(expert) * n;
        file.set_tensor(prefix + kind + "." + std::to_string(expert) + ".weight",
                        {stack->dims[0], stack->dims[1]}, {first, first + n});
      }
    }
  }
  const LoadedDecoder ours = load_file(file.write());
  CHECK(ours.ignored.empty());
  const LoadedDecoder theirs = load_file(file.source().path());
  for (size_t layer = 0; layer < 3; ++layer) {
    const FfnWeights& a = ours.model.weights.layers[layer].moe.experts;
    const FfnWeights& b = theirs.model.weights.layers[layer].moe.experts;
    for (int64_t expert = 0; expert < 8; ++expert) {
      const auto same = [&](const Matrix& x, const Matrix& y) {
        CHECK_EQ(x.n_matrices, 8);
        CHECK(std::memcmp(x.slice(expert).data, y.slice(expert).data,
                          x.row_bytes * static_cast<size_t>(x.n_out)) == 0);
      };
      same(a.gate_proj, b.gate_proj);
      same(a.up_proj, b.up_proj);
      same(a.down_proj, b.down_proj);
    }
  }
}

// The key half of attn_kv_b, transposed, must be the attn_k_b of the split layout.
TEST(legacy_kv_b_equals_the_split_tensors) {
  CraftedFile file("deepseek2-v3");
  const int64_t heads = 4, nope = 32, rank = 64, v = 32;
  for (int layer = 0;
       layer < static_cast<int>(file.source().metadata().integer("deepseek2.block_count").value_or(0));
       ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".attn_";
    const std::vector<float> k_b = file.values(prefix + "k_b.weight"),
                             v_b = file.values(prefix + "v_b.weight");
    std::vector<float> kv_b;
    for (int64_t head = 0; head < heads; ++head) {
      for (int64_t i = 0; i < nope; ++i)
        for (int64_t latent = 0; latent < rank; ++latent)
          kv_b.push_back(k_b[static_cast<size_t>((head * rank + latent) * nope + i)]);
      kv_b.insert(kv_b.end(), v_b.begin() + head * v * rank, v_b.begin() + (head + 1) * v * rank);
    }
    file.drop_tensor(prefix + "k_b.weight");
    file.drop_tensor(prefix + "v_b.weight");
    file.set_tensor(prefix + "kv_b.weight", {rank, heads * (nope + v)}, kv_b);
  }
  for (const char* key : {"attention.key_length_mla", "attention.value_length_mla"})
    file.drop_key(std::string("deepseek2.") + key);
  file.set_integer("deepseek2.attention.key_length", 64);
  file.set_integer("deepseek2.attention.value_length", 32);
  const LoadedDecoder legacy = load_file(file.write()), split = load_file(file.source().path());
  CHECK(legacy.model.config.mla.has_legacy_kv_b);
  CHECK(warns_of(legacy.log, "before the MLA split"));
  for (size_t layer = 0; layer < split.model.weights.layers.size(); ++layer) {
    const MlaWeights& a = legacy.model.weights.layers[layer].mla;
    const MlaWeights& b = split.model.weights.layers[layer].mla;
    for (int64_t head = 0; head < heads; ++head) {
      CHECK(std::memcmp(a.k_b.slice(head).data, b.k_b.slice(head).data,
                        sizeof(float) * static_cast<size_t>(nope * rank)) == 0);
      CHECK(std::memcmp(a.v_b.slice(head).data, b.v_b.slice(head).data,
                        sizeof(float) * static_cast<size_t>(v * rank)) == 0);
    }
  }
}

TEST(tensor_classes) {
  const auto is = [](const char* name, const char* expected) {
    CHECK_EQ(std::string(tensor_class(name, 10)), expected);
  };
  is("token_embd.weight", "embedding");
  is("output.weight", "head");
  is("output_norm.weight", "norms");
  is("blk.3.attn_norm.weight", "norms");
  is("blk.3.attn_kv_a_norm.weight", "norms");
  is("blk.3.attn_kv_a_mqa.weight", "attention");
  is("blk.3.ffn_gate.weight", "dense");
  is("blk.3.ffn_gate.7.weight", "experts");
  is("blk.3.ffn_down_exps.weight", "experts");
  is("blk.3.ffn_down_shexp.weight", "shared_experts");
  is("blk.3.ffn_gate_inp.weight", "router");
  is("blk.3.exp_probs_b.bias", "router");
  is("blk.10.ffn_down_exps.weight", "mtp");
  is("rope_freqs.weight", "other");
}
