#include "ops/ops.h"
#include "ops/shape_check.h"

namespace moebius {

void gqa_attention(OpContext& op, const GqaShape& shape, const Rows& q, std::span<const AttentionSpan> spans,
                   const Rows& out) {
  expect_multiple("gqa_attention", "n_heads", shape.n_heads, shape.n_kv_heads);
  expect_rows("gqa_attention", "q", q, q.n_rows, shape.n_heads * shape.key_dim);
  expect_rows("gqa_attention", "out", out, q.n_rows, shape.n_heads * shape.value_dim);
  expect_contiguous("gqa_attention", "q", q);
  expect_contiguous("gqa_attention", "out", out);
  expect_row_bytes("gqa_attention", shape.cache_format, shape.n_kv_heads * shape.key_dim,
                   shape.key_row_bytes);
  expect_row_bytes("gqa_attention", shape.cache_format, shape.n_kv_heads * shape.value_dim,
                   shape.value_row_bytes);
  expect_spans("gqa_attention", spans, q.n_rows, /*has_values=*/true);
  op.kernels->gqa_attention(op.kernel, shape, q.data, spans.data(), static_cast<int64_t>(spans.size()),
                            out.data);
}

void mla_absorbed_attention(OpContext& op, const MlaShape& shape, const Rows& q_latent, const Rows& q_rope,
                            std::span<const AttentionSpan> spans, const Rows& out) {
  const char* name = "mla_absorbed_attention";
  expect_rows(name, "q_latent", q_latent, q_latent.n_rows, shape.n_heads * shape.kv_lora_rank);
  expect_rows(name, "q_rope", q_rope, q_latent.n_rows, shape.n_heads * shape.qk_rope_head_dim);
  expect_rows(name, "out", out, q_latent.n_rows, shape.n_heads * shape.kv_lora_rank);
  expect_contiguous(name, "q_latent", q_latent);
  expect_contiguous(name, "q_rope", q_rope);
  expect_contiguous(name, "out", out);
  expect_row_bytes(name, shape.cache_format, shape.kv_lora_rank + shape.qk_rope_head_dim, shape.row_bytes);
  expect_spans(name, spans, q_latent.n_rows, /*has_values=*/false);
  op.kernels->mla_absorbed_attention(op.kernel, shape, q_latent.data, q_rope.data, spans.data(),
                                     static_cast<int64_t>(spans.size()), out.data);
}

void mla_expanded_attention(OpContext& op, const MlaShape& shape, const Matrix& k_b, const Matrix& v_b,
                            const Rows& q, std::span<const AttentionSpan> spans, const Rows& out) {
  const char* name = "mla_expanded_attention";
  expect_equal(name, "k_b rows", k_b.n_out, shape.kv_lora_rank);
  expect_equal(name, "k_b columns", k_b.n_in, shape.qk_nope_head_dim);
  expect_equal(name, "k_b heads", k_b.n_matrices, shape.n_heads);
  expect_equal(name, "v_b rows", v_b.n_out, shape.v_head_dim);
  expect_equal(name, "v_b columns", v_b.n_in, shape.kv_lora_rank);
  expect_equal(name, "v_b heads", v_b.n_matrices, shape.n_heads);
  expect_rows(name, "q", q, q.n_rows, shape.n_heads * (shape.qk_nope_head_dim + shape.qk_rope_head_dim));
  expect_rows(name, "out", out, q.n_rows, shape.n_heads * shape.v_head_dim);
  expect_contiguous(name, "q", q);
  expect_contiguous(name, "out", out);
  expect_row_bytes(name, shape.cache_format, shape.kv_lora_rank + shape.qk_rope_head_dim, shape.row_bytes);
  expect_spans(name, spans, q.n_rows, /*has_values=*/false);
  op.kernels->mla_expanded_attention(op.kernel, shape, k_b, v_b, q.data, spans.data(),
                                     static_cast<int64_t>(spans.size()), out.data);
}

}  // namespace moebius
