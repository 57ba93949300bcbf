// Attention with operands rounded to bfloat16 and f32 sums, for levels with a dot of bfloat16
// pairs. Include a simd*.h and the vocabulary Bf16 first.
#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {
namespace {

constexpr int kLanes = Simd::kLanes;

Simd::F load_up_to(const float* x, int64_t i, int64_t n) {
  if (i + kLanes <= n) return Simd::load(x + i);
  return i < n ? Simd::load_first(x + i, static_cast<int>(n - i)) : Simd::zero();
}

void round_row(const float* x, int64_t n, uint16_t* out) {
  const int64_t end = (n + 31) / 32 * 32;
  for (int64_t i = 0; i < end; i += 2 * kLanes) Simd::store_int(out + i, Bf16::round(load_up_to(x, i, n), load_up_to(x, i + kLanes, n)));
}

void pair_rows(const float* rows, int64_t stride, int64_t n_rows, int64_t n, uint16_t* out) {
  for (int64_t r = 0; r < n_rows; r += 2, out += 2 * n) {
    const float *even = rows + r * stride, *odd = even + stride;
    for (int64_t i = 0; i < n; i += kLanes)
      Simd::store_int(out + 2 * i, Bf16::pair(Simd::load(even + i), r + 1 < n_rows ? Simd::load(odd + i) : Simd::zero()));
  }
}

// kFloatVectors vectors of the 32 outputs, kColumns columns.
template <int kColumns>
inline void pair_panel_block(const PairPanelProduct& p, int first_vector) {
  constexpr int kVectors = Simd::kFloatVectors;
  Simd::F sums[kVectors][kColumns];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i)
      sums[v][i] = p.accumulate ? Simd::load(p.c + i * p.c_stride + (first_vector + v) * kLanes) : Simd::zero();
  const uint16_t *weights = p.w + 2 * first_vector * kLanes, *x = p.x;
  for (int64_t k = 0; k < p.n_pairs; ++k, weights += 2 * p.w_stride, x += 2) {
    Simd::I w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = Simd::load_int(weights + 2 * v * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) {
      const Simd::I pair = Bf16::broadcast(x + i * p.x_i);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[v][i] = Bf16::dot(sums[v][i], w[v], pair);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) Simd::store(p.c + i * p.c_stride + (first_vector + v) * kLanes, sums[v][i]);
}

void multiply_pair_panel(const PairPanelProduct& p) {
  for (int v = 0; v < kKeyTile / kLanes; v += Simd::kFloatVectors) {
    switch (p.n_columns) {
      case 1: pair_panel_block<1>(p, v); break;
      case 2: pair_panel_block<2>(p, v); break;
      case 3: pair_panel_block<3>(p, v); break;
      case 4: pair_panel_block<4>(p, v); break;
      case 5: pair_panel_block<5>(p, v); break;
      default: pair_panel_block<6>(p, v); break;
    }
  }
}

}  // namespace

namespace MOEBIUS_LEVEL {

void fill_bf16_ops(LevelOps& ops) {
  ops.bf16 = {round_row, pair_rows, multiply_pair_panel};
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
