#include "ops/ops.h"
#include "ops/shape_check.h"

namespace moebius {

namespace {

void expect_ffn(const char* op, const FfnWeights& weights, int64_t hidden_size, int64_t n_matrices) {
  const int64_t ff = weights.gate_proj.n_out;
  expect_equal(op, "gate_proj columns", weights.gate_proj.n_in, hidden_size);
  expect_equal(op, "up_proj columns", weights.up_proj.n_in, hidden_size);
  expect_equal(op, "up_proj rows", weights.up_proj.n_out, ff);
  expect_equal(op, "down_proj columns", weights.down_proj.n_in, ff);
  expect_equal(op, "down_proj rows", weights.down_proj.n_out, hidden_size);
  expect_equal(op, "gate_proj matrices", weights.gate_proj.n_matrices, n_matrices);
  expect_equal(op, "up_proj matrices", weights.up_proj.n_matrices, n_matrices);
  expect_equal(op, "down_proj matrices", weights.down_proj.n_matrices, n_matrices);
}

}  // namespace

void dense_ffn(OpContext& op, const FfnWeights& weights, const Rows& x, const Rows& y) {
  expect_ffn("dense_ffn", weights, x.n, 1);
  expect_rows("dense_ffn", "y", y, x.n_rows, x.n);
  expect_contiguous("dense_ffn", "x", x);
  expect_contiguous("dense_ffn", "y", y);
  op.kernels->dense_ffn(op.kernel, weights, x.data, x.n_rows, y.data);
}

void moe_ffn(OpContext& op, const MoeFfn& weights, const Rows& x, const int32_t* expert_ids,
             const float* routing_weights, const Rows& y) {
  expect_ffn("moe_ffn", weights.experts, x.n, weights.experts.gate_proj.n_matrices);
  if (weights.has_shared_expert) expect_ffn("moe_ffn", weights.shared_expert, x.n, 1);
  expect_rows("moe_ffn", "y", y, x.n_rows, x.n);
  expect_contiguous("moe_ffn", "x", x);
  expect_contiguous("moe_ffn", "y", y);
  op.kernels->moe_ffn(op.kernel, weights, x.data, x.n_rows, expert_ids, routing_weights, y.data);
}

}  // namespace moebius
