// The verbs model/ is written in. Each checks its shapes ("[op] expected ..., got ...") and
// calls the kernel of the backend in use. Rows are views into the step's scratch: whoever
// takes scratch says when it ends (Scratch::release); ops take none for their results.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"

namespace moebius {

// f32 rows in memory of the backend: row i starts at data + i * stride.
struct Rows {
  float* data = nullptr;
  int64_t n_rows = 0;
  int64_t n = 0;
  int64_t stride = 0;

  float* row(int64_t index) const { return data + index * stride; }
  // Columns [begin, begin + count) of every row.
  Rows columns(int64_t begin, int64_t count) const { return {data + begin, n_rows, count, stride}; }
  // Rows [begin, begin + count).
  Rows slice(int64_t begin, int64_t count) const { return {row(begin), count, n, stride}; }
};

// What every op needs: the backend's table and the running step.
struct OpContext {
  const KernelTable* kernels = nullptr;
  KernelContext kernel;

  // Uninitialised contiguous rows, valid until the scratch is released.
  Rows rows(int64_t n_rows, int64_t n) { return {kernel.scratch->take<float>(n_rows * n), n_rows, n, n}; }
};

// One matrix with its optional bias [n_out].
struct Linear {
  Matrix weight;
  const float* bias = nullptr;
  bool empty() const { return weight.empty(); }
};

struct LinearJob {
  const Linear* linear;
  Rows y;  // [x.n_rows, linear.n_out]
};

// y_j = W_j x + b_j, one preparation of x for all. x [n_tokens, n_in].
void linear(OpContext& op, const Rows& x, std::span<const LinearJob> jobs);
void linear(OpContext& op, const Rows& x, const Linear& weights, const Rows& y);

// Per head: y[t, h] = W_h x[t, h]. x [n_tokens, n_heads * x_head_stride] of which n_in are
// read per head, y [n_tokens, n_heads * n_out].
void linear_heads(OpContext& op, const Matrix& weights, const Rows& x, int64_t x_head_stride, const Rows& y);

// y[i] = scale * table row ids[i].
void embed(OpContext& op, const Matrix& table, std::span<const int32_t> ids, float scale, const Rows& y);

// RMS norm of each row; weight [x.n] or null. y may be x.
void rms_norm(OpContext& op, const Rows& x, const float* weight, float eps, const Rows& y);
// RMS norm of each head: x [n_tokens, n_heads * head_dim], weight [head_dim]. In place.
void rms_norm_heads(OpContext& op, const Rows& x, int64_t head_dim, const float* weight, float eps);

// y += x.
void add(OpContext& op, const Rows& y, const Rows& x);

// cos, sin [n_tokens, n_rot / 2].
struct RopeAngles {
  const float* cos = nullptr;
  const float* sin = nullptr;
  int64_t n_tokens = 0;
  int64_t n_rot = 0;
};
// Rotates elements [offset, offset + angles.n_rot) of each head in place.
// x [n_tokens, n_heads * head_dim].
void rope(OpContext& op, const Rows& x, int64_t head_dim, int64_t offset, const RopeAngles& angles,
          RopePairing pairing);

// q [n_tokens, n_heads * key_dim] -> out [n_tokens, n_heads * value_dim].
void gqa_attention(OpContext& op, const GqaShape& shape, const Rows& q, std::span<const AttentionSpan> spans,
                   const Rows& out);
// q_latent, out [n_tokens, n_heads * kv_lora_rank]; q_rope [n_tokens, n_heads * rope].
void mla_absorbed_attention(OpContext& op, const MlaShape& shape, const Rows& q_latent, const Rows& q_rope,
                            std::span<const AttentionSpan> spans, const Rows& out);
// q [n_tokens, n_heads * (nope + rope)]; out [n_tokens, n_heads * v_head_dim].
void mla_expanded_attention(OpContext& op, const MlaShape& shape, const Matrix& k_b, const Matrix& v_b,
                            const Rows& q, std::span<const AttentionSpan> spans, const Rows& out);

void dense_ffn(OpContext& op, const FfnWeights& weights, const Rows& x, const Rows& y);
// expert_ids, routing_weights [x.n_rows, n_active_experts].
void moe_ffn(OpContext& op, const MoeFfn& weights, const Rows& x, const int32_t* expert_ids,
             const float* routing_weights, const Rows& y);

// Returns the first row with a NaN logit, or -1. selection_scores may be null.
int64_t select_experts(OpContext& op, const RouterRule& rule, const Rows& logits, int32_t* expert_ids,
                       float* routing_weights, float* selection_scores);

// dst row i = format(src row i); the inverse reads src.n_rows rows back.
void store_cache_rows(OpContext& op, const Rows& src, CacheFormat format, void* dst, size_t dst_row_bytes);
void load_cache_rows(OpContext& op, const void* src, size_t src_row_bytes, CacheFormat format,
                     const Rows& dst);

}  // namespace moebius
