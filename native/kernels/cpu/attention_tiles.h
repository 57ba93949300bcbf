// Shapes shared by the attention's leaf functions and its orchestration.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace moebius::cpu {

constexpr int kKeyTile = 32;

// c[i * c_stride + j] (+)= sum_k w[k * w_stride + j] * x[k * x_k + i * x_i]
// for j in 0 .. 31, i in 0 .. n_columns - 1 (at most 6). Strides in floats.
struct PanelProduct {
  const float* w = nullptr;
  int64_t w_stride = 0;
  int64_t n_k = 0;
  const float* x = nullptr;
  int64_t x_k = 0, x_i = 0;
  int n_columns = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  bool accumulate = false;
};

// The same with operands in bfloat16, two k side by side:
// c[i * c_stride + j] (+)= sum_k w[(k / 2 * w_stride + j) * 2 + k % 2] * x[i * x_i + k]
// for k in 0 .. 2 n_pairs - 1. w_stride in pairs, x_i in elements, c_stride in floats.
struct PairPanelProduct {
  const uint16_t* w = nullptr;
  int64_t w_stride = 0;
  int64_t n_pairs = 0;
  const uint16_t* x = nullptr;
  int64_t x_i = 0;
  int n_columns = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  bool accumulate = false;
};

// Elements [offset, offset + n) of up to 32 cache rows; both multiples of 32.
struct CacheTile {
  const uint8_t* rows = nullptr;
  size_t row_bytes = 0;
  int n_rows = 0;
  int64_t offset = 0, n = 0;
  CacheFormat format = CacheFormat::kF32;
  bool fetch_next = false;  // the rows behind are read next: ask for them on the way
};

// The running softmax of one query column over the keys seen so far.
struct SoftmaxState {
  float highest = -3.4e38f;
  float sum = 0;  // of exp(score - highest)
};

}  // namespace moebius::cpu
