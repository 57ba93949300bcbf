#include "ops/ops.h"

#include "base/error.h"
#include "ops/shape_check.h"

namespace moebius {

void linear(OpContext& op, const Rows& x, std::span<const LinearJob> jobs) {
  constexpr size_t kMaxJobs = 8;
  if (jobs.empty() || jobs.size() > kMaxJobs)
    throw Error(ErrorCode::kInternal, format_text("[linear] expected 1 to 8 jobs, got %zu", jobs.size()));
  MatmulJob kernel_jobs[kMaxJobs];
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Linear& weights = *jobs[i].linear;
    expect_equal("linear", "n_in", weights.weight.n_in, x.n);
    expect_rows("linear", "y", jobs[i].y, x.n_rows, weights.weight.n_out);
    expect_equal("linear", "number of matrices", weights.weight.n_matrices, 1);
    kernel_jobs[i] = {weights.weight, weights.bias, jobs[i].y.data, jobs[i].y.stride};
  }
  op.kernels->matmul(op.kernel, x.data, x.n_rows, x.stride, kernel_jobs, static_cast<int64_t>(jobs.size()));
}

void linear(OpContext& op, const Rows& x, const Linear& weights, const Rows& y) {
  const LinearJob job{&weights, y};
  linear(op, x, {&job, 1});
}

void linear_heads(OpContext& op, const Matrix& weights, const Rows& x, int64_t x_head_stride, const Rows& y) {
  expect_at_least("linear_heads", "head stride of x", x_head_stride, weights.n_in);
  expect_at_least("linear_heads", "x columns", x.n, (weights.n_matrices - 1) * x_head_stride + weights.n_in);
  expect_rows("linear_heads", "y", y, x.n_rows, weights.n_matrices * weights.n_out);
  op.kernels->matmul_heads(op.kernel, weights, x.data, x.n_rows, x.stride, x_head_stride, y.data, y.stride,
                           weights.n_out);
}

void embed(OpContext& op, const Matrix& table, std::span<const int32_t> ids, float scale, const Rows& y) {
  expect_rows("embed", "y", y, static_cast<int64_t>(ids.size()), table.n_in);
  expect_contiguous("embed", "y", y);
  for (const int32_t id : ids)
    if (id < 0 || id >= table.n_out)
      throw Error(ErrorCode::kBadRequest, format_text("[embed] expected a token id in [0, %lld), got %d",
                                                      static_cast<long long>(table.n_out), id));
  op.kernels->gather_rows(op.kernel, table, ids.data(), y.n_rows, scale, y.data);
}

void rms_norm(OpContext& op, const Rows& x, const float* weight, float eps, const Rows& y) {
  expect_rows("rms_norm", "y", y, x.n_rows, x.n);
  op.kernels->rms_norm(op.kernel, x.data, x.n_rows, x.n, x.stride, weight, eps, y.data, y.stride);
}

void rms_norm_heads(OpContext& op, const Rows& x, int64_t head_dim, const float* weight, float eps) {
  expect_multiple("rms_norm_heads", "x columns", x.n, head_dim);
  expect_contiguous("rms_norm_heads", "x", x);
  const int64_t n_rows = x.n_rows * (x.n / head_dim);
  op.kernels->rms_norm(op.kernel, x.data, n_rows, head_dim, head_dim, weight, eps, x.data, head_dim);
}

void add(OpContext& op, const Rows& y, const Rows& x) {
  expect_rows("add", "x", x, y.n_rows, y.n);
  expect_contiguous("add", "y", y);
  expect_contiguous("add", "x", x);
  op.kernels->add(op.kernel, y.data, x.data, y.n_rows * y.n);
}

void rope(OpContext& op, const Rows& x, int64_t head_dim, int64_t offset, const RopeAngles& angles,
          RopePairing pairing) {
  expect_multiple("rope", "x columns", x.n, head_dim);
  expect_at_least("rope", "head size", head_dim, offset + angles.n_rot);
  expect_equal("rope", "tokens", angles.n_tokens, x.n_rows);
  op.kernels->rope(op.kernel, x.data + offset, x.n_rows, x.n / head_dim, x.stride, head_dim, angles.n_rot,
                   angles.cos, angles.sin, pairing);
}

int64_t select_experts(OpContext& op, const RouterRule& rule, const Rows& logits, int32_t* expert_ids,
                       float* routing_weights, float* selection_scores) {
  expect_equal("select_experts", "experts", logits.n, rule.n_routed_experts);
  expect_contiguous("select_experts", "logits", logits);
  return op.kernels->select_experts(op.kernel, rule, logits.data, logits.n_rows, expert_ids, routing_weights,
                                    selection_scores);
}

void store_cache_rows(OpContext& op, const Rows& src, CacheFormat format, void* dst, size_t dst_row_bytes) {
  expect_row_bytes("store_cache_rows", format, src.n, dst_row_bytes);
  op.kernels->store_cache_rows(op.kernel, src.data, src.n_rows, src.n, src.stride, format, dst,
                               dst_row_bytes);
}

void load_cache_rows(OpContext& op, const void* src, size_t src_row_bytes, CacheFormat format,
                     const Rows& dst) {
  expect_row_bytes("load_cache_rows", format, dst.n, src_row_bytes);
  op.kernels->load_cache_rows(op.kernel, src, src_row_bytes, dst.n_rows, dst.n, format, dst.data, dst.stride);
}

}  // namespace moebius
