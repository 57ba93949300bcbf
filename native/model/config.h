// The dimensions and rules of one model, derived from its file once and never changed.
// Names follow the config of the models themselves. What a value came from is told to the
// user through DerivationLog.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "ops/rope_table.h"

namespace moebius {

// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).
struct MlaConfig {
  int64_t q_lora_rank = 0;  // 0: q is one matrix
  int64_t kv_lora_rank = 0;
  int64_t qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  bool has_legacy_kv_b = false;  // one attn_kv_b, split while loading
};

struct MoeConfig {
  int64_t n_routed_experts = 0, n_active_experts = 0, n_shared_experts = 0;
  int64_t n_expert_groups = 1, n_active_groups = 1;
  int64_t expert_feed_forward = 0;         // width of one routed expert
  int64_t shared_expert_feed_forward = 0;  // width of all shared experts together, 0 = none
  ScoreFunc score_func = ScoreFunc::kSoftmax;
  bool normalizes_weights = false;
  double routed_scaling_factor = 1;
};

struct LayerConfig {
  bool is_moe = false;
  int64_t n_kv_heads = 0;
  int64_t feed_forward = 0;  // dense layers
  int64_t window = 0;        // sliding window, 0 = full attention
  size_t rope_index = 0;     // into ModelConfig::ropes
};

struct ModelConfig {
  std::string architecture;
  int64_t n_layers = 0;      // trunk
  int64_t n_mtp_layers = 0;  // loaded, after the trunk
  int64_t hidden_size = 0, vocab_size = 0, max_seq_len = 0;
  int64_t n_heads = 0, key_dim = 0, value_dim = 0;
  double rms_norm_eps = 0;
  double attention_scale = 0;
  double embedding_scale = 1;
  double final_logit_softcap = 0;  // 0 = none
  Activation activation = Activation::kSilu;
  RopePairing rope_pairing = RopePairing::kAdjacent;

  bool is_mla = false;
  MlaConfig mla;
  bool is_moe = false;
  MoeConfig moe;
  std::vector<LayerConfig> layers;  // [n_layers + n_mtp_layers]

  std::vector<RopeSpec> ropes;
  // longrope: used instead when a session may grow past original_max_seq_len. Same length
  // as ropes, or empty.
  std::vector<RopeSpec> long_ropes;
  int64_t long_rope_above = 0;

  int64_t n_all_layers() const { return n_layers + n_mtp_layers; }
  bool uses_long_rope(int64_t session_max_seq_len) const {
    return !long_ropes.empty() && session_max_seq_len > long_rope_above;
  }
};

// What the derivation tells the model card.
struct DerivationNote {
  std::string name, value;
  std::string origin;  // key, tensor, table, override, default, family
  std::string source;  // key or tensor
};
struct DerivationLog {
  std::vector<DerivationNote> notes;
  std::vector<std::string> warnings;
};

}  // namespace moebius
