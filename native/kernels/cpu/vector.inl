// Float rows: dots of unquantised weights, norms, activations. One .cc file per level.
#include "kernels/cpu/exact_products.inl"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/vector_math.h"

namespace moebius::cpu {
namespace {

struct F32Row {
  static constexpr int kBytes = 4;
  static Simd::F load(const uint8_t* p) { return Simd::load(reinterpret_cast<const float*>(p)); }
  static Simd::F load_first(const uint8_t* p, int n) { return Simd::load_first(reinterpret_cast<const float*>(p), n); }
};

// The last few elements go through a zeroed buffer: a row may end at the end of a mapping.
template <typename Row>
inline Simd::F load_first_u16(const uint8_t* p, int n) {
  uint16_t buffer[Simd::kLanes] = {};
  __builtin_memcpy(buffer, p, static_cast<size_t>(n) * 2);
  return Row::load(reinterpret_cast<const uint8_t*>(buffer));
}
struct F16Row {
  static constexpr int kBytes = 2;
  static Simd::F load(const uint8_t* p) { return Simd::load_f16(reinterpret_cast<const uint16_t*>(p)); }
  static Simd::F load_first(const uint8_t* p, int n) { return load_first_u16<F16Row>(p, n); }
};
struct Bf16Row {
  static constexpr int kBytes = 2;
  static Simd::F load(const uint8_t* p) { return Simd::load_bf16(reinterpret_cast<const uint16_t*>(p)); }
  static Simd::F load_first(const uint8_t* p, int n) { return load_first_u16<Bf16Row>(p, n); }
};

// Two chains per column hide the latency of the multiply-add; their split is fixed, so a
// product does not depend on how many columns are computed beside it.
template <typename Row, int kColumns>
void float_dot_row(const uint8_t* row, int64_t n, int64_t ahead, const float* const* x, float* out, int64_t out_stride) {
  constexpr int kLanes = Simd::kLanes;
  Simd::F even[kColumns], odd[kColumns];
  for (int c = 0; c < kColumns; ++c) even[c] = odd[c] = Simd::zero();
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    fetch_ahead(row + i * Row::kBytes, 2 * kLanes * Row::kBytes, ahead);
    const Simd::F a = Row::load(row + i * Row::kBytes), b = Row::load(row + (i + kLanes) * Row::kBytes);
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      even[c] = Simd::fma(a, Simd::load(x[c] + i), even[c]);
      odd[c] = Simd::fma(b, Simd::load(x[c] + i + kLanes), odd[c]);
    }
  }
  for (; i < n; i += kLanes) {
    const int count = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    const Simd::F a = count == kLanes ? Row::load(row + i * Row::kBytes) : Row::load_first(row + i * Row::kBytes, count);
    for (int c = 0; c < kColumns; ++c) {
      const Simd::F value = count == kLanes ? Simd::load(x[c] + i) : Simd::load_first(x[c] + i, count);
      even[c] = Simd::fma(a, value, even[c]);
    }
  }
  for (int c = 0; c < kColumns; ++c) out[c * out_stride] = Simd::sum(Simd::add(even[c], odd[c]));
}

template <typename Row>
void float_dot_rows(const WeightRows& weights, const float* const* columns, int n_columns, float* out,
                    int64_t out_stride) {
  const ReadAhead read_ahead = ReadAhead::of(weights);
  for (int64_t r = 0; r < weights.n_rows; ++r) {
    const uint8_t* row = weights.row(r);
    const int64_t ahead = read_ahead.distance(row);
    for (int c = 0; c < n_columns;) {
      float* to = out + c * out_stride + r;
      if (n_columns - c >= 4) {
        float_dot_row<Row, 4>(row, weights.n_in, ahead, columns + c, to, out_stride);
        c += 4;
      } else if (n_columns - c >= 2) {
        float_dot_row<Row, 2>(row, weights.n_in, ahead, columns + c, to, out_stride);
        c += 2;
      } else {
        float_dot_row<Row, 1>(row, weights.n_in, ahead, columns + c, to, out_stride);
        c += 1;
      }
    }
  }
}

template <typename Row>
void load_float_row(const uint8_t* src, int64_t n, float* dst) {
  constexpr int kLanes = Simd::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Simd::store(dst + i, Row::load(src + i * Row::kBytes));
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    Simd::store_first(dst + i, Row::load_first(src + i * Row::kBytes, rest), rest);
  }
}

void load_floats(QuantFormat format, const uint8_t* src, int64_t n, float* dst) {
  if (format == QuantFormat::kF32) load_float_row<F32Row>(src, n, dst);
  if (format == QuantFormat::kF16) load_float_row<F16Row>(src, n, dst);
  if (format == QuantFormat::kBF16) load_float_row<Bf16Row>(src, n, dst);
}

// Calls body(offset, count) for whole vectors and once for the rest.
template <typename Body>
inline void each_vector(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + Simd::kLanes <= n; i += Simd::kLanes) body(i, Simd::kLanes);
  if (i < n) body(i, static_cast<int>(n - i));
}
inline Simd::F load_n(const float* p, int n) { return n == Simd::kLanes ? Simd::load(p) : Simd::load_first(p, n); }
inline void store_n(float* p, Simd::F v, int n) {
  if (n == Simd::kLanes) {
    Simd::store(p, v);
  } else {
    Simd::store_first(p, v, n);
  }
}

inline Simd::F gelu_tanh(Simd::F x) {
  // 0.5 x (1 + tanh(u)) = x sigmoid(2 u)
  const Simd::F cube = Simd::mul(Simd::mul(x, x), x);
  const Simd::F u = Simd::mul(Simd::set1(0.79788456080286535588f), Simd::fma(Simd::set1(0.044715f), cube, x));
  return Simd::mul(x, sigmoid(Simd::add(u, u)));
}

inline Simd::F activated(Activation activation, Simd::F gate, Simd::F up) {
  if (activation == Activation::kSilu) return Simd::mul(Simd::mul(gate, sigmoid(gate)), up);
  if (activation == Activation::kGeluTanh) return Simd::mul(gelu_tanh(gate), up);
  const Simd::F limit = Simd::set1(7.0f), a = Simd::min(gate, limit);
  const Simd::F u = Simd::min(Simd::max(up, Simd::set1(-7.0f)), limit);
  return Simd::mul(Simd::mul(a, sigmoid(Simd::mul(Simd::set1(1.702f), a))), Simd::add(u, Simd::set1(1.0f)));
}

void activate(Activation activation, const float* gate, const float* up, int64_t n, float* out) {
  each_vector(n, [&](int64_t i, int count) {
    store_n(out + i, activated(activation, load_n(gate + i, count), load_n(up + i, count)), count);
  });
}

void rms_norm_row(const float* x, int64_t n, const float* weight, float eps, float* y) {
  Simd::F squares = Simd::zero();
  each_vector(n, [&](int64_t i, int count) {
    const Simd::F v = load_n(x + i, count);
    squares = Simd::fma(v, v, squares);
  });
  const float mean = Simd::sum(squares) / static_cast<float>(n);
  const Simd::F scale = Simd::set1(1.0f / __builtin_sqrtf(mean + eps));
  each_vector(n, [&](int64_t i, int count) {
    Simd::F v = Simd::mul(load_n(x + i, count), scale);
    if (weight != nullptr) v = Simd::mul(v, load_n(weight + i, count));
    store_n(y + i, v, count);
  });
}

void add(float* y, const float* x, int64_t n) {
  each_vector(n, [&](int64_t i, int count) { store_n(y + i, Simd::add(load_n(y + i, count), load_n(x + i, count)), count); });
}

void add_scaled(float* y, float factor, const float* x, int64_t n) {
  const Simd::F f = Simd::set1(factor);
  each_vector(n, [&](int64_t i, int count) { store_n(y + i, Simd::fma(f, load_n(x + i, count), load_n(y + i, count)), count); });
}

}  // namespace

namespace MOEBIUS_LEVEL {

void fill_vector_ops(LevelOps& ops) {
  ops.float_dot_rows[static_cast<int>(QuantFormat::kF32)] = float_dot_rows<F32Row>;
  ops.float_dot_rows[static_cast<int>(QuantFormat::kF16)] = float_dot_rows<F16Row>;
  ops.float_dot_rows[static_cast<int>(QuantFormat::kBF16)] = float_dot_rows<Bf16Row>;
  ops.load_floats = load_floats;
  ops.activate = activate;
  ops.rms_norm_row = rms_norm_row;
  ops.add = add;
  ops.add_scaled = add_scaled;
  ops.exact = exact_products();
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
