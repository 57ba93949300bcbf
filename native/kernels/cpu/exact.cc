#include "kernels/cpu/exact.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace moebius::cpu {

namespace {

constexpr int kBlock = 8;  // sums side by side, for the compiler to vectorise

inline double widen(float x) { return x; }
inline double widen_bf16(uint16_t x) { return std::bit_cast<float>(uint32_t{x} << 16); }
// The exponent is moved by a product, which also normalises what is subnormal. Inlined, for
// it runs once per weight.
inline double widen_f16(uint16_t x) {
  const float magnitude = std::bit_cast<float>((x & 0x7fffu) << 13) * 0x1p112f;
  const float value = (x & 0x7c00u) == 0x7c00u ? magnitude * std::numeric_limits<float>::infinity() : magnitude;
  return x & 0x8000u ? -value : value;
}

template <typename Stored, double (*widened)(Stored)>
double dot(const Stored* row, const float* x, int64_t n) {
  double sums[kBlock] = {};
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock)
    for (int j = 0; j < kBlock; ++j) sums[j] += widened(row[i + j]) * x[i + j];
  for (; i < n; ++i) sums[0] += widened(row[i]) * x[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

template <typename Stored, double (*widened)(Stored)>
void dot_rows(const WeightRows& weights, const float* const* columns, int n_columns, float* out, int64_t out_stride) {
  for (int64_t r = 0; r < weights.n_rows; ++r) {
    const auto* row = reinterpret_cast<const Stored*>(weights.data + static_cast<size_t>(r) * weights.row_bytes);
    for (int c = 0; c < n_columns; ++c)
      out[c * out_stride + r] = static_cast<float>(dot<Stored, widened>(row, columns[c], weights.n_in));
  }
}

// The tile as [256, 32], whatever the level's own layout.
void pack_float_tile(const float* const* rows, FloatTileBlock* out) {
  for (int64_t r = 0; r < kTileRows; ++r)
    for (int64_t k = 0; k < 256; ++k) out->values[k * kTileRows + r] = rows[r][k];
}

// c[j] += sum_k w[k * w_stride + j] * x[k * x_k] for j in 0 .. kBlock - 1.
void multiply_block(const float* w, int64_t w_stride, const float* x, int64_t x_k, int64_t n_k, float* c) {
  double sums[kBlock];
  for (int j = 0; j < kBlock; ++j) sums[j] = c[j];
  for (int64_t k = 0; k < n_k; ++k, w += w_stride, x += x_k)
    for (int j = 0; j < kBlock; ++j) sums[j] += widen(w[j]) * *x;
  for (int j = 0; j < kBlock; ++j) c[j] = static_cast<float>(sums[j]);
}

void multiply_float_tile(const FloatTileBlock& tile, const FloatColumnBlock* columns, int64_t stride, int64_t n_columns,
                         float* c) {
  for (int64_t i = 0; i < n_columns; ++i, c += kTileRows)
    for (int64_t row = 0; row < kTileRows; row += kBlock)
      multiply_block(tile.values + row, kTileRows, columns[i / kTileColumns * stride].values[0] + i % kTileColumns,
                     kTileColumns, 256, c + row);
}

void multiply_panel(const PanelProduct& p) {
  for (int i = 0; i < p.n_columns; ++i) {
    float* c = p.c + i * p.c_stride;
    if (!p.accumulate) std::fill_n(c, kKeyTile, 0.0f);
    for (int j = 0; j < kKeyTile; j += kBlock)
      multiply_block(p.w + j, p.w_stride, p.x + i * p.x_i, p.x_k, p.n_k, c + j);
  }
}

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
  const double scale = 1 / std::sqrt(dot<float, widen>(x, x, n) / static_cast<double>(n) + eps);
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] * scale * (weight != nullptr ? weight[i] : 1.0f));
}

}  // namespace

LevelOps exact_ops(const LevelOps& level) {
  LevelOps ops = level;
  ops.float_dot_rows[static_cast<int>(QuantFormat::kF32)] = dot_rows<float, widen>;
  ops.float_dot_rows[static_cast<int>(QuantFormat::kF16)] = dot_rows<uint16_t, widen_f16>;
  ops.float_dot_rows[static_cast<int>(QuantFormat::kBF16)] = dot_rows<uint16_t, widen_bf16>;
  ops.pack_float_tile = pack_float_tile;
  ops.multiply_float_tile = multiply_float_tile;
  ops.multiply_panel = multiply_panel;
  ops.score_keys = nullptr;  // decode takes panels too
  ops.add_values = nullptr;
  ops.softmax_tile = softmax_tile;
  ops.activate = activate;
  ops.rms_norm_row = rms_norm_row;
  return ops;
}

}  // namespace moebius::cpu
