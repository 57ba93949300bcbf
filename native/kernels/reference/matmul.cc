#include <cmath>
#include <cstring>

#include "kernels/reference/reference.h"
#include "quant/quant_format.h"

namespace moebius::reference {

void dequantize_matrix_row(const Matrix& weights, int64_t index, std::vector<float>& row) {
  row.resize(static_cast<size_t>(weights.n_in));
  quant_format_info(weights.format).dequantize_row(weights.row(index), row.data(), weights.n_in);
  if (weights.matrix_scales == nullptr) return;
  for (float& value : row) value *= weights.matrix_scales[0];
}

double dot(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

void matmul(KernelContext&, const float* x, int64_t n_tokens, int64_t x_stride,
            const MatmulJob* jobs, int64_t n_jobs) {
  std::vector<float> row;
  for (int64_t j = 0; j < n_jobs; ++j) {
    const MatmulJob& job = jobs[j];
    for (int64_t o = 0; o < job.weights.n_out; ++o) {
      dequantize_matrix_row(job.weights, o, row);
      const double bias = job.bias != nullptr ? job.bias[o] : 0;
      for (int64_t t = 0; t < n_tokens; ++t)
        job.y[t * job.y_stride + o] =
            static_cast<float>(dot(row.data(), x + t * x_stride, job.weights.n_in) + bias);
    }
  }
}

void matmul_heads(KernelContext&, const Matrix& weights, const float* x, int64_t n_tokens,
                  int64_t x_token_stride, int64_t x_head_stride, float* y, int64_t y_token_stride,
                  int64_t y_head_stride) {
  std::vector<float> row;
  for (int64_t h = 0; h < weights.n_matrices; ++h) {
    const Matrix head = weights.slice(h);
    for (int64_t o = 0; o < head.n_out; ++o) {
      dequantize_matrix_row(head, o, row);
      for (int64_t t = 0; t < n_tokens; ++t)
        y[t * y_token_stride + h * y_head_stride + o] = static_cast<float>(
            dot(row.data(), x + t * x_token_stride + h * x_head_stride, head.n_in));
    }
  }
}

void gather_rows(KernelContext&, const Matrix& table, const int32_t* ids, int64_t n, float scale,
                 float* y) {
  std::vector<float> row;
  for (int64_t i = 0; i < n; ++i) {
    dequantize_matrix_row(table, ids[i], row);
    for (int64_t j = 0; j < table.n_in; ++j) y[i * table.n_in + j] = scale * row[static_cast<size_t>(j)];
  }
}

}  // namespace moebius::reference
