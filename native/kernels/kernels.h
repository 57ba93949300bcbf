// The table every backend fills: one documented slot per op, chosen once at start.
// Matrices are views of GGUF blocks (tensor.h); activations are f32 rows; caches are rows
// in a CacheFormat. Pointers belong to the backend's address space (host memory for the
// CPU and for unified-memory devices). Kernels only assert shapes: ops/ checks them.
//
// Reproducibility (all backends): the arithmetic of one row never depends on the other
// rows of a call in Phase::kDecode, nor on the number of threads in any phase. Expert
// outputs are reduced in slot order, then the shared expert; split attention is merged in
// fixed order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/expert_source.h"
#include "kernels/scratch.h"
#include "kernels/thresholds.h"
#include "tensor/tensor.h"

namespace moebius {

// Decode and draft verification use row-invariant kernels; prefill may choose by shape.
enum class Phase { kPrefill, kDecode };

// What a kernel may use while it runs. One per engine step; never shared between threads.
struct KernelContext {
  ThreadPool* pool = nullptr;
  Scratch* scratch = nullptr;  // reset by the caller between steps
  Phase phase = Phase::kDecode;
  bool exact = false;  // float activations: nothing is rounded to int8
  const KernelThresholds* thresholds = &kDefaultThresholds;  // never null; not for exact
  // Operands of prefill attention rounded to bfloat16, where the backend can; not beside `exact`.
  bool bf16_attention = false;

  const KernelThresholds& thresholds_in_use() const { return exact ? kExactThresholds : *thresholds; }
};

// One product of a shared input: y[t, y_stride] = W x[t] (+ bias).
struct MatmulJob {
  Matrix weights;               // [n_in, n_out]
  const float* bias = nullptr;  // [n_out] or null
  float* y = nullptr;           // [n_tokens, y_stride >= n_out]
  int64_t y_stride = 0;
};

enum class Activation {
  kSilu,       // silu(gate) * up
  kGeluTanh,   // gelu_tanh(gate) * up
  kSwigluOai,  // a = min(gate, 7), u = clamp(up, -7, 7): a * sigmoid(1.702 a) * (u + 1)
};

// A SwiGLU block [d -> ff -> d]; biases only where the family has them.
struct FfnWeights {
  Matrix gate_proj;  // [d, ff] or stacked [d, ff, n_experts]
  Matrix up_proj;    // same shape
  Matrix down_proj;  // [ff, d] or [ff, d, n_experts]
  const float* gate_bias = nullptr;  // [ff] or [n_experts, ff]
  const float* up_bias = nullptr;
  const float* down_bias = nullptr;  // [d] or [n_experts, d]
  Activation activation = Activation::kSilu;
};

struct MoeFfn {
  FfnWeights experts;         // stacked
  ExpertSource* source = nullptr;  // where the matrices of `experts` come from; null: their views
  bool has_shared_expert = false;
  FfnWeights shared_expert;   // plain; all shared experts as one wide block
  const float* shared_expert_router = nullptr;  // [d] or null; output x sigmoid(w . x)
  int64_t n_active_experts = 0;
};

enum class CacheFormat { kF32, kF16, kBF16, kQ8_0 };

enum class RopePairing {
  kAdjacent,   // elements 2i, 2i + 1 ("NORM")
  kHalfSplit,  // elements i, i + n/2 ("NEOX")
};

// Rows [first_row, first_row + n_rows) of a batch that belong to one sequence. Row i has
// position n_past + i and sees cache rows 0 .. n_past + i (its own row is stored already).
struct AttentionSpan {
  int64_t first_row = 0;
  int64_t n_rows = 0;
  int64_t n_past = 0;
  const void* key_rows = nullptr;    // latent_cache rows for MLA
  const void* value_rows = nullptr;  // null for MLA: the latent is a prefix of the key row
};

struct GqaShape {
  int64_t n_heads = 0, n_kv_heads = 0;
  int64_t key_dim = 0, value_dim = 0;  // per head
  float scale = 0;
  int64_t window = 0;              // n: sees keys with position - key < n; 0 = all
  const float* sinks = nullptr;    // [n_heads]: one extra logit in the denominator
  float score_softcap = 0;         // 0 = none; cap * tanh(score / cap)
  CacheFormat cache_format = CacheFormat::kF16;
  size_t key_row_bytes = 0, value_row_bytes = 0;  // one position, all kv heads
};

struct MlaShape {
  int64_t n_heads = 0;
  int64_t kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  float scale = 0;
  CacheFormat cache_format = CacheFormat::kF16;
  size_t row_bytes = 0;  // one position: [c_kv | k_rope]
};

enum class ScoreFunc { kSoftmax, kSigmoid, kSoftmaxSelected, kSqrtSoftplus };
enum class GroupRule { kMax, kSumOfTopTwo };

// How logits become experts and weights; formula in routing/router.h.
struct RouterRule {
  ScoreFunc score_func = ScoreFunc::kSoftmax;
  int64_t n_routed_experts = 0, n_active_experts = 0;
  int64_t n_expert_groups = 1, n_active_groups = 1;
  GroupRule group_rule = GroupRule::kMax;
  bool normalize = false;
  float routed_scaling_factor = 1;
  const float* selection_bias = nullptr;  // [n_routed_experts] or null
};

struct KernelTable {
  // y_j = W_j x for every job, sharing one preparation of x.
  // x [n_tokens, x_stride]; all jobs have the same n_in.
  void (*matmul)(KernelContext&, const float* x, int64_t n_tokens, int64_t x_stride,
                 const MatmulJob* jobs, int64_t n_jobs);

  // Per head h: y[t, h] = W_h x[t, h]. weights [n_in, n_out, n_heads].
  // Strides in elements. Used for MLA's absorption and its way back.
  void (*matmul_heads)(KernelContext&, const Matrix& weights, const float* x, int64_t n_tokens,
                       int64_t x_token_stride, int64_t x_head_stride, float* y,
                       int64_t y_token_stride, int64_t y_head_stride);

  // y[t, d] = down(act(gate x, up x)).
  void (*dense_ffn)(KernelContext&, const FfnWeights&, const float* x, int64_t n_tokens, float* y);

  // y[t, d] = sum_i w[t, i] E_ids[t, i](x[t]) in slot order, + shared expert.
  // ids, w [n_tokens, n_active_experts]; an id of -1 is an empty slot.
  void (*moe_ffn)(KernelContext&, const MoeFfn&, const float* x, int64_t n_tokens,
                  const int32_t* expert_ids, const float* routing_weights, float* y);

  // Rows of a (quantised) table: y[i] = scale * row(ids[i]).
  void (*gather_rows)(KernelContext&, const Matrix& table, const int32_t* ids, int64_t n,
                      float scale, float* y);

  // y = x / sqrt(mean(x^2) + eps) * weight, rows of n; weight may be null. In place allowed.
  // (Zhang and Sennrich 2019, arXiv 1910.07467.)
  void (*rms_norm)(KernelContext&, const float* x, int64_t n_rows, int64_t n, int64_t x_stride,
                   const float* weight, float eps, float* y, int64_t y_stride);

  // Rotates the first n_rot elements of each head in place by the angles of its token:
  // cos, sin [n_tokens, n_rot / 2], magnitude included (tables are built in f64 once a step).
  void (*rope)(KernelContext&, float* x, int64_t n_tokens, int64_t n_heads, int64_t token_stride,
               int64_t head_stride, int64_t n_rot, const float* cos, const float* sin,
               RopePairing pairing);

  // y += x, n elements.
  void (*add)(KernelContext&, float* y, const float* x, int64_t n);

  // Writes f32 rows into a cache: dst row i = format(src + i * src_stride), n elements each.
  void (*store_cache_rows)(KernelContext&, const float* src, int64_t n_rows, int64_t n,
                           int64_t src_stride, CacheFormat format, void* dst, size_t dst_row_bytes);

  // The inverse, for position shifts and tests.
  void (*load_cache_rows)(KernelContext&, const void* src, size_t src_row_bytes, int64_t n_rows,
                          int64_t n, CacheFormat format, float* dst, int64_t dst_stride);

  // out[t, h, value_dim]; q [n_tokens, n_heads, key_dim].
  void (*gqa_attention)(KernelContext&, const GqaShape&, const float* q,
                        const AttentionSpan* spans, int64_t n_spans, float* out);

  // Attention in latent space: q_latent [n_tokens, n_heads, kv_lora_rank] (absorbed),
  // q_rope [n_tokens, n_heads, qk_rope_head_dim]; out_latent like q_latent.
  // score_t = (q_latent . c_t + q_rope . k_rope_t) * scale (DeepSeek-V2, arXiv 2405.04434).
  void (*mla_absorbed_attention)(KernelContext&, const MlaShape&, const float* q_latent,
                                 const float* q_rope, const AttentionSpan* spans, int64_t n_spans,
                                 float* out_latent);

  // Keys and values expanded per head from the latent rows: k_h = [W_k_b,h^T c | k_rope],
  // v_h = W_v_b,h c. k_b [qk_nope_head_dim, kv_lora_rank, n_heads] (as stored in the file),
  // v_b [kv_lora_rank, v_head_dim, n_heads]; q [n_tokens, n_heads, nope + rope];
  // out [n_tokens, n_heads, v_head_dim].
  void (*mla_expanded_attention)(KernelContext&, const MlaShape&, const Matrix& k_b,
                                 const Matrix& v_b, const float* q, const AttentionSpan* spans,
                                 int64_t n_spans, float* out);

  // logits [n_tokens, n_routed_experts] -> ids, weights [n_tokens, n_active_experts] in
  // selection order, selection scores z [n_tokens, n_routed_experts] when not null.
  // Returns the first row with a NaN logit, or -1.
  int64_t (*select_experts)(KernelContext&, const RouterRule&, const float* logits, int64_t n_tokens,
                            int32_t* expert_ids, float* routing_weights, float* selection_scores);
};

// Bytes of one cache row of n elements, padded to 64.
size_t cache_row_bytes(CacheFormat format, int64_t n);

}  // namespace moebius
