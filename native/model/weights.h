// The weights of one model as views: matrices point into the mapped file, or into buffers
// held by ModelWeights where the loader had to rearrange (legacy attn_kv_b, norms that are
// not f32). A layer has either MLA or GQA weights, and either a dense or an MoE block.
#pragma once

#include <cstdint>
#include <vector>

#include "base/page_buffer.h"
#include "ops/ops.h"
#include "routing/router.h"

namespace moebius {

struct MlaWeights {
  Linear q;                          // [d, n_heads * (nope + rope)], without q_lora
  Linear q_a, q_b;                   // [d, q_lora_rank], [q_lora_rank, n_heads * (nope + rope)]
  const float* q_a_norm = nullptr;   // [q_lora_rank]
  Linear kv_a;                       // [d, kv_lora_rank + rope]: latent rows, then k_rope
  const float* kv_a_norm = nullptr;  // [kv_lora_rank]
  Matrix k_b;                        // [nope, kv_lora_rank, n_heads]
  Matrix v_b;                        // [kv_lora_rank, v_head_dim, n_heads]
  Linear output;                     // [n_heads * v_head_dim, d]
};

struct GqaWeights {
  Linear q, k, v;                 // [d, n_heads * key_dim], [d, n_kv_heads * key_dim], ...
  Linear output;                  // [n_heads * value_dim, d]
  const float* q_norm = nullptr;  // [key_dim], or [n_heads * key_dim] with norms_whole_rows
  const float* k_norm = nullptr;
  bool norms_whole_rows = false;
  const float* sinks = nullptr;  // [n_heads]
};

// Where the matrices of each expert begin in the file when they are not evenly spaced; empty
// for those that are.
struct ScatteredExperts {
  std::vector<const uint8_t*> gate_proj, up_proj, down_proj;
};

struct LayerWeights {
  const float* attn_norm = nullptr;            // [d]
  const float* post_attention_norm = nullptr;  // [d], before the residual add
  const float* ffn_norm = nullptr;             // [d]
  const float* post_ffn_norm = nullptr;        // [d], before the residual add
  MlaWeights mla;
  GqaWeights gqa;
  FfnWeights dense;
  Router router;
  MoeFfn moe;
  ScatteredExperts scattered_experts;
};

// A multi-token-prediction head; its decoder block is layers[n_layers + index].
struct MtpWeights {
  Linear eh_proj;                    // [2 d, d]: embedding half first
  const float* enorm = nullptr;      // [d]
  const float* hnorm = nullptr;      // [d]
  Matrix embed_tokens;               // [d, V], the trunk's unless the file has its own
  const float* head_norm = nullptr;  // [d]
  Linear head;                       // [d, V]
};

struct ModelWeights {
  Matrix token_embedding;              // [d, V]
  const float* output_norm = nullptr;  // [d]
  Linear output;                       // [d, V]; token_embedding when tied
  std::vector<LayerWeights> layers;    // [n_layers + n_mtp_layers]
  std::vector<MtpWeights> mtp;         // [n_mtp_layers]
  std::vector<PageBuffer> owned;
};

}  // namespace moebius
