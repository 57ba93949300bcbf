#include "kernels/cpu/exact.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace moebius::cpu {

namespace {

inline double widen(float x) { return x; }

float softmax_tile(float* scores, float scale, float softcap, int first, int end, SoftmaxState& state) {
  std::fill_n(scores, std::min(first, kKeyTile), 0.0f);
  std::fill(scores + std::max(end, 0), scores + kKeyTile, 0.0f);
  if (end <= first) {
    std::fill_n(scores, kKeyTile, 0.0f);
    return 1.0f;
  }
  double scaled[kKeyTile], tile_max = -3.4e38;
  for (int i = first; i < end; ++i) {
    scaled[i] = widen(scores[i]) * scale;
    if (softcap > 0) scaled[i] = softcap * std::tanh(scaled[i] / softcap);
    tile_max = std::max(tile_max, scaled[i]);
  }
  const float highest = std::max(static_cast<float>(tile_max), state.highest);
  double sum = 0;
  for (int i = first; i < end; ++i) {
    scores[i] = static_cast<float>(std::exp(scaled[i] - highest));
    sum += scores[i];
  }
  const double correction = state.sum > 0 ? std::exp(widen(state.highest) - highest) : 1.0;
  state.sum = static_cast<float>(state.sum * correction + sum);
  state.highest = highest;
  return static_cast<float>(correction);
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double activated(Activation activation, double gate, double up) {
  if (activation == Activation::kSilu) return gate * sigmoid(gate) * up;
  if (activation == Activation::kGeluTanh)
    return gate * sigmoid(2 * 0.79788456080286535588 * (gate + 0.044715 * gate * gate * gate)) * up;
  const double a = std::min(gate, 7.0);
  return a * sigmoid(1.702 * a) * (std::clamp(up, -7.0, 7.0) + 1);
}

void activate(Activation activation, const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(activated(activation, gate[i], up[i]));
}

void rms_norm_row(const float* x, int64_t n, const float* weight, float eps, float* y) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += widen(x[i]) * x[i];
  const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] * scale * (weight != nullptr ? weight[i] : 1.0f));
}

}  // namespace

LevelOps exact_ops(const LevelOps& level) {
  LevelOps ops = level;
  std::copy(std::begin(level.exact.dot_rows), std::end(level.exact.dot_rows), ops.float_dot_rows);
  ops.pack_float_tile = level.exact.pack_float_tile;
  ops.multiply_float_tile = level.exact.multiply_float_tile;
  ops.multiply_panel = level.exact.multiply_panel;
  ops.score_keys = nullptr;  // decode takes panels too
  ops.add_values = nullptr;
  ops.softmax_tile = softmax_tile;
  ops.activate = activate;
  ops.rms_norm_row = rms_norm_row;
  return ops;
}

}  // namespace moebius::cpu
