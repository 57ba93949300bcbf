// The searches shared by the encoders: the scale (and offset) of one group of weights that
// loses least in squared error. Plain scalar code; used when files are written, never
// while a model runs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace moebius {

// Nearest integer in [lo, hi]; NaN gives lo, so hostile input cannot index out of range.
inline int clamped_round(float value, int lo, int hi) {
  if (!(value > static_cast<float>(lo))) return lo;
  if (value >= static_cast<float>(hi)) return hi;
  return static_cast<int>(std::lrint(value));
}

inline float reciprocal_or_zero(float value) { return value != 0 ? 1 / value : 0; }

// Largest magnitude, with its sign; 0 for non-finite input only.
inline float signed_extreme(const float* x, int n) {
  float extreme = 0;
  for (int i = 0; i < n; ++i)
    if (std::isfinite(x[i]) && std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  return extreme;
}

// The scale s for x ~ s * q with integers q in [lo, hi].
inline float search_scale(const float* x, int n, int lo, int hi) {
  const float extreme = signed_extreme(x, n);
  if (extreme == 0) return 0;
  float best_scale = 0, best_gain = -1;
  for (int step = -9; step <= 9; ++step) {
    const float inverse = (static_cast<float>(lo) + 0.1f * static_cast<float>(step)) / extreme;
    float xq = 0, qq = 0;
    for (int i = 0; i < n; ++i) {
      const float q = static_cast<float>(clamped_round(inverse * x[i], lo, hi));
      xq += x[i] * q;
      qq += q * q;
    }
    // With the best scale xq / qq the squared error falls by xq^2 / qq.
    if (qq > 0 && xq * xq / qq > best_gain) {
      best_gain = xq * xq / qq;
      best_scale = xq / qq;
    }
  }
  return best_scale;
}

struct ScaleOffset {
  float scale = 0;
  float offset = 0;  // x ~ scale * q + offset
};

// Scale and offset for integers q in [0, hi]. With at_most_zero the offset is <= 0 (the K
// formats store its magnitude).
inline ScaleOffset search_scale_offset(const float* x, int n, int hi, bool at_most_zero) {
  float low = x[0], high = x[0];
  for (int i = 1; i < n; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  if (at_most_zero) low = std::min(low, 0.0f);
  ScaleOffset best{(high - low) / static_cast<float>(hi), low};
  if (!(high > low) || !std::isfinite(high - low)) return {0, low};
  float best_error = -1;
  for (int step = -1; step <= 16; ++step) {
    const float inverse = (static_cast<float>(hi) - 0.5f + 0.1f * static_cast<float>(step)) / (high - low);
    float sum_q = 0, sum_qq = 0, sum_x = 0, sum_xq = 0;
    for (int i = 0; i < n; ++i) {
      const float q = static_cast<float>(clamped_round(inverse * (x[i] - low), 0, hi));
      sum_q += q;
      sum_qq += q * q;
      sum_x += x[i];
      sum_xq += x[i] * q;
    }
    const float count = static_cast<float>(n), determinant = count * sum_qq - sum_q * sum_q;
    if (determinant <= 0) continue;
    ScaleOffset fit{(count * sum_xq - sum_x * sum_q) / determinant, (sum_qq * sum_x - sum_q * sum_xq) / determinant};
    if (at_most_zero && fit.offset > 0) fit = {sum_qq > 0 ? sum_xq / sum_qq : 0, 0};
    if (!(fit.scale > 0)) continue;
    float error = 0;
    for (int i = 0; i < n; ++i) {
      const int q = clamped_round((x[i] - fit.offset) / fit.scale, 0, hi);
      const float difference = fit.scale * static_cast<float>(q) + fit.offset - x[i];
      error += difference * difference;
    }
    if (best_error < 0 || error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

// Index of the level nearest to value; levels ascend.
inline int nearest_level(const int8_t* levels, int n_levels, float value) {
  int best = 0;
  for (int i = 1; i < n_levels; ++i)
    if (std::fabs(value - static_cast<float>(levels[i])) < std::fabs(value - static_cast<float>(levels[best]))) best = i;
  return best;
}

// The scale for x ~ s * levels[q] over all q, and its sign as the levels are not symmetric.
inline float search_level_scale(const float* x, int n, const int8_t* levels, int n_levels) {
  const float extreme = signed_extreme(x, n);
  if (extreme == 0) return 0;
  float best_scale = 0, best_gain = -1;
  for (const float side : {static_cast<float>(levels[0]), static_cast<float>(levels[n_levels - 1])}) {
    for (int step = -7; step <= 7; ++step) {
      const float inverse = side * (1 + 0.02f * static_cast<float>(step)) / extreme;
      float xq = 0, qq = 0;
      for (int i = 0; i < n; ++i) {
        const float q = static_cast<float>(levels[nearest_level(levels, n_levels, inverse * x[i])]);
        xq += x[i] * q;
        qq += q * q;
      }
      if (qq > 0 && xq * xq / qq > best_gain) {
        best_gain = xq * xq / qq;
        best_scale = xq / qq;
      }
    }
  }
  return best_scale;
}

}  // namespace moebius
