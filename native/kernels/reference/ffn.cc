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

namespace {

FfnWeights given_expert(const FfnWeights& all, int64_t expert, const ExpertData& data) {
  FfnWeights one = all;
  one.gate_proj = all.gate_proj.slice(expert);
  one.up_proj = all.up_proj.slice(expert);
  one.down_proj = all.down_proj.slice(expert);
  one.gate_proj.data = data.gate_proj;
  one.up_proj.data = data.up_proj;
  one.down_proj.data = data.down_proj;
  if (all.gate_bias != nullptr) one.gate_bias = all.gate_bias + expert * all.gate_proj.n_out;
  if (all.up_bias != nullptr) one.up_bias = all.up_bias + expert * all.up_proj.n_out;
  if (all.down_bias != nullptr) one.down_bias = all.down_bias + expert * all.down_proj.n_out;
  return one;
}

// The outputs of all (token, slot) pairs, computed as their experts arrive.
std::vector<std::vector<float>> streamed_rows(const MoeFfn& moe, const float* x, int64_t n_pairs,
                                              const int32_t* expert_ids) {
  std::vector<int32_t> experts;
  for (int64_t i = 0; i < n_pairs; ++i)
    if (expert_ids[i] >= 0) experts.push_back(expert_ids[i]);
  std::sort(experts.begin(), experts.end());
  experts.erase(std::unique(experts.begin(), experts.end()), experts.end());
  std::vector<int32_t> given(experts.size());
  std::vector<std::vector<float>> rows(static_cast<size_t>(n_pairs));
  const auto n_experts = static_cast<int64_t>(experts.size());
  int64_t n = moe.source->begin(experts.data(), n_experts, given.data());
  for (int64_t done = n; n > 0 || done < n_experts; n = moe.source->next(given.data()), done += n)
    for (int64_t g = 0; g < n; ++g) {
      const int32_t expert = experts[static_cast<size_t>(given[static_cast<size_t>(g)])];
      const FfnWeights weights = given_expert(moe.experts, expert, moe.source->data(expert));
      for (int64_t i = 0; i < n_pairs; ++i)
        if (expert_ids[i] == expert)
          rows[static_cast<size_t>(i)] = ffn_row(weights, 0, x + i / moe.n_active_experts * moe.experts.gate_proj.n_in);
    }
  return rows;
}

}  // namespace

void moe_ffn(KernelContext&, const MoeFfn& moe, const float* x, int64_t n_tokens,
             const int32_t* expert_ids, const float* routing_weights, float* y) {
  std::vector<std::vector<float>> streamed;
  if (moe.source != nullptr) streamed = streamed_rows(moe, x, n_tokens * moe.n_active_experts, expert_ids);
  const int64_t n_in = moe.experts.gate_proj.n_in, n_out = moe.experts.down_proj.n_out;
  for (int64_t t = 0; t < n_tokens; ++t) {
    const float* row = x + t * n_in;
    std::vector<double> sum(static_cast<size_t>(n_out), 0.0);
    const auto accumulate = [&sum](const std::vector<float>& part, double weight) {
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * part[i];
    };
    for (int64_t i = 0; i < moe.n_active_experts; ++i) {
      const int64_t pair = t * moe.n_active_experts + i;
      const int32_t id = expert_ids[pair];
      if (id >= 0)
        accumulate(moe.source != nullptr ? streamed[static_cast<size_t>(pair)] : ffn_row(moe.experts, id, row),
                   routing_weights[pair]);
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
