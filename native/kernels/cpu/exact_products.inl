// Products with sums in f64, for the router and the exact mode. A product of two floats is
// exact in f64 and every sum has its fixed order, so all levels give the same bits. Written
// with the compilers' own vectors: eight sums side by side on every machine.
#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {
namespace {

using Doubles = double __attribute__((vector_size(64)));
using Floats = float __attribute__((vector_size(32)));
using Words = uint32_t __attribute__((vector_size(32)));
using Halves = uint16_t __attribute__((vector_size(16)));
constexpr int kExactLanes = 8;
constexpr int kExactColumns = Simd::kRegisters * Simd::kLanes >= 512 ? 6 : 1;  // whose sums fit the registers
constexpr int kExactRows = 4;

// Vectors go by reference: by value their calling convention would depend on the level.
template <typename To, typename From>
inline void read_as(const From* from, To& to) {
  __builtin_memcpy(&to, from, sizeof to);
}

inline void widen(const float* p, Doubles& out) {
  Floats values;
  read_as(p, values);
  out = __builtin_convertvector(values, Doubles);
}

struct F32Elements {
  using Stored = float;
  static void load(const float* p, Doubles& out) { widen(p, out); }
};
struct Bf16Elements {
  using Stored = uint16_t;
  static void load(const uint16_t* p, Doubles& out) {
    Halves bits;
    read_as(p, bits);
    const Words words = __builtin_convertvector(bits, Words) << 16;
    Floats values;
    read_as(&words, values);
    out = __builtin_convertvector(values, Doubles);
  }
};
struct F16Elements {
  using Stored = uint16_t;
  // The exponent is moved by a product, which also normalises what is subnormal.
  static void load(const uint16_t* p, Doubles& out) {
    Halves bits;
    read_as(p, bits);
    const Words words = __builtin_convertvector(bits, Words), magnitude_bits = (words & 0x7fffu) << 13;
    Floats magnitude;
    read_as(&magnitude_bits, magnitude);
    magnitude *= 0x1p112f;
    Words with_sign;
    read_as(&magnitude, with_sign);
    // An exponent of all ones stays one, whatever the product made of it.
    const Words special = (words & 0x7c00u) == 0x7c00u;
    with_sign |= (special & 0x7f800000u) | (words & 0x8000u) << 16;
    Floats values;
    read_as(&with_sign, values);
    out = __builtin_convertvector(values, Doubles);
  }
};

inline double total(const Doubles& sums) {
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// kRows rows times one column; fetches as many rows behind them when these are read the first
// time.
template <typename Elements, int kRows, bool kFirstTime>
void exact_dots(const uint8_t* first, size_t row_bytes, const float* x, int64_t n, float* out) {
  const auto row = [&](int r) { return reinterpret_cast<const typename Elements::Stored*>(first + static_cast<size_t>(r) * row_bytes); };
  Doubles sums[kRows] = {};
  const int64_t whole = n / kExactLanes * kExactLanes;
  for (int64_t i = 0; i < whole; i += kExactLanes) {
    Doubles column, weights;
    widen(x + i, column);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      if constexpr (kFirstTime) __builtin_prefetch(row(kRows + r) + i, /*write=*/0, /*locality=*/0);
      Elements::load(row(r) + i, weights);
      sums[r] += weights * column;
    }
  }
  for (int r = 0; r < kRows; ++r) {
    // What is left of a row goes through zeroed vectors, into the first sum.
    typename Elements::Stored rest[kExactLanes] = {};
    __builtin_memcpy(rest, row(r) + whole, static_cast<size_t>(n - whole) * sizeof rest[0]);
    Doubles weights;
    Elements::load(rest, weights);
    for (int64_t i = whole; i < n; ++i) sums[r][0] += weights[i - whole] * static_cast<double>(x[i]);
    out[r] = static_cast<float>(total(sums[r]));
  }
}

template <typename Elements>
void exact_dot_rows(const WeightRows& weights, const float* const* columns, int n_columns, float* out, int64_t out_stride) {
  for (int64_t r = 0; r < weights.n_rows; r += kExactRows) {
    const uint8_t* rows = weights.data + static_cast<size_t>(r) * weights.row_bytes;
    const bool whole = weights.n_rows - r >= kExactRows;
    for (int c = 0; c < n_columns; ++c) {
      float* to = out + c * out_stride + r;
      if (whole && c == 0) {
        exact_dots<Elements, kExactRows, true>(rows, weights.row_bytes, columns[c], weights.n_in, to);
      } else if (whole) {
        exact_dots<Elements, kExactRows, false>(rows, weights.row_bytes, columns[c], weights.n_in, to);
      } else {
        for (int64_t i = 0; r + i < weights.n_rows; ++i)
          exact_dots<Elements, 1, false>(rows + static_cast<size_t>(i) * weights.row_bytes, weights.row_bytes, columns[c], weights.n_in, to + i);
      }
    }
  }
}

// c[i, j] += sum_k w[k * w_stride + j] * x[k * x_k + i * x_i] for j in 0 .. 31.
template <int kColumns>
void exact_panel(const float* w, int64_t w_stride, const float* x, int64_t x_k, int64_t x_i, int64_t n_k, float* c, int64_t c_stride) {
  constexpr int kVectors = kTileRows / kExactLanes;
  Doubles sums[kColumns][kVectors];
  for (int i = 0; i < kColumns; ++i)
    for (int v = 0; v < kVectors; ++v) widen(c + i * c_stride + v * kExactLanes, sums[i][v]);
  for (int64_t k = 0; k < n_k; ++k, w += w_stride, x += x_k) {
    Doubles weights[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) widen(w + v * kExactLanes, weights[v]);
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) {
      const double value = x[i * x_i];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] += weights[v] * value;
    }
  }
  for (int i = 0; i < kColumns; ++i)
    for (int v = 0; v < kVectors; ++v) {
      const Floats rounded = __builtin_convertvector(sums[i][v], Floats);
      __builtin_memcpy(c + i * c_stride + v * kExactLanes, &rounded, sizeof rounded);
    }
}

void exact_columns(const float* w, int64_t w_stride, const float* x, int64_t x_k, int64_t x_i, int64_t n_k, int n_columns, float* c, int64_t c_stride) {
  int i = 0;
  for (; i + kExactColumns <= n_columns; i += kExactColumns)
    exact_panel<kExactColumns>(w, w_stride, x + i * x_i, x_k, x_i, n_k, c + i * c_stride, c_stride);
  for (; i < n_columns; ++i) exact_panel<1>(w, w_stride, x + i * x_i, x_k, x_i, n_k, c + i * c_stride, c_stride);
}

// The tile as [256, 32], whatever the level's own layout.
void exact_pack_tile(const float* const* rows, FloatTileBlock* out) {
  for (int64_t r = 0; r < kTileRows; ++r)
    for (int64_t k = 0; k < 256; ++k) out->values[k * kTileRows + r] = rows[r][k];
}

void exact_multiply_tile(const FloatTileBlock& tile, const FloatColumnBlock* columns, int64_t stride, int64_t n_columns, float* c) {
  for (int64_t i = 0; i < n_columns; i += kTileColumns, columns += stride, c += kTileColumns * kTileRows) {
    const int count = n_columns - i < kTileColumns ? static_cast<int>(n_columns - i) : kTileColumns;
    exact_columns(tile.values, kTileRows, columns->values[0], kTileColumns, 1, 256, count, c, kTileRows);
  }
}

void exact_multiply_panel(const PanelProduct& p) {
  if (!p.accumulate)
    for (int i = 0; i < p.n_columns; ++i) __builtin_memset(p.c + i * p.c_stride, 0, kKeyTile * sizeof(float));
  exact_columns(p.w, p.w_stride, p.x, p.x_k, p.x_i, p.n_k, p.n_columns, p.c, p.c_stride);
}

ExactProducts exact_products() {
  ExactProducts products;
  products.dot_rows[static_cast<int>(QuantFormat::kF32)] = exact_dot_rows<F32Elements>;
  products.dot_rows[static_cast<int>(QuantFormat::kF16)] = exact_dot_rows<F16Elements>;
  products.dot_rows[static_cast<int>(QuantFormat::kBF16)] = exact_dot_rows<Bf16Elements>;
  products.pack_float_tile = exact_pack_tile;
  products.multiply_float_tile = exact_multiply_tile;
  products.multiply_panel = exact_multiply_panel;
  return products;
}

}  // namespace
}  // namespace moebius::cpu
