#include <algorithm>
#include <cmath>

#include "kernels/reference/reference.h"

namespace moebius::reference {

namespace {

double activate(Activation activation, double gate, double up) {
  switch (activation) {
    case Activation::kSilu: return gate / (1 + std::exp(-gate)) * up;
    case Activation::kGeluTanh: {
      const double inner = 0.79788456080286535588 * (gate + 0.044715 * gate * gate * gate);
      return 0.5 * gate * (1 + std::tanh(inner)) * up;
    }
    case Activation::kSwigluOai: {
      const double a = std::min(gate, 7.0), u = std::clamp(up, -7.0, 7.0);
      return a / (1 + std::exp(-1.702 * a)) * (u + 1);
    }
  }
  return 0;
}

// W x + bias for one row.
std::vector<float> product(const Matrix& weights, const float* bias, const float* x) {
  std::vector<float> row, y(static_cast<size_t>(weights.n_out));
  for (int64_t o = 0; o < weights.n_out; ++o) {
    dequantize_matrix_row(weights, o, row);
    const double sum = dot(row.data(), x, weights.n_in) + (bias != nullptr ? bias[o] : 0.0f);
    y[static_cast<size_t>(o)] = static_cast<float>(sum);
  }
  return y;
}

// The SwiGLU block of one expert (index 0 for a plain block).
std::vector<float> ffn_row(const FfnWeights& weights, int64_t expert, const float* x) {
  const Matrix gate_proj = weights.gate_proj.slice(expert), up_proj = weights.up_proj.slice(expert),
               down_proj = weights.down_proj.slice(expert);
  const auto bias = [expert](const float* all, int64_t n) {
    return all != nullptr ? all + expert * n : nullptr;
  };
  std::vector<float> gate = product(gate_proj, bias(weights.gate_bias, gate_proj.n_out), x);
  const std::vector<float> up = product(up_proj, bias(weights.up_bias, up_proj.n_out), x);
  for (size_t i = 0; i < gate.size(); ++i)
    gate[i] = static_cast<float>(activate(weights.activation, gate[i], up[i]));
  return product(down_proj, bias(weights.down_bias, down_proj.n_out), gate.data());
}

}  // namespace

void dense_ffn(KernelContext&, const FfnWeights& weights, const float* x, int64_t n_tokens,
               float* y) {
  const int64_t n_in = weights.gate_proj.n_in, n_out = weights.down_proj.n_out;
  for (int64_t t = 0; t < n_tokens; ++t) {
    const std::vector<float> row = ffn_row(weights, 0, x + t * n_in);
    std::copy(row.begin(), row.end(), y + t * n_out);
  }
}

void moe_ffn(KernelContext&, const MoeFfn& moe, const float* x, int64_t n_tokens,
             const int32_t* expert_ids, const float* routing_weights, float* y) {
  const int64_t n_in = moe.experts.gate_proj.n_in, n_out = moe.experts.down_proj.n_out;
  for (int64_t t = 0; t < n_tokens; ++t) {
    const float* row = x + t * n_in;
    std::vector<double> sum(static_cast<size_t>(n_out), 0.0);
    const auto accumulate = [&sum](const std::vector<float>& part, double weight) {
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * part[i];
    };
    for (int64_t i = 0; i < moe.n_active_experts; ++i) {
      const int32_t id = expert_ids[t * moe.n_active_experts + i];
      if (id >= 0) accumulate(ffn_row(moe.experts, id, row), routing_weights[t * moe.n_active_experts + i]);
    }
    if (moe.has_shared_expert) {
      double weight = 1;
      if (moe.shared_expert_router != nullptr)
        weight = 1 / (1 + std::exp(-dot(moe.shared_expert_router, row, n_in)));
      accumulate(ffn_row(moe.shared_expert, 0, row), weight);
    }
    for (int64_t i = 0; i < n_out; ++i) y[t * n_out + i] = static_cast<float>(sum[static_cast<size_t>(i)]);
  }
}

}  // namespace moebius::reference
