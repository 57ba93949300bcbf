// Attention over tiles of 32 keys in f32: a panel product (used for the scores, the values
// and the expansion of MLA's keys), the running softmax, and cache rows as floats. One .cc
// per level.
#include <algorithm>

#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/vector_math.h"

namespace moebius::cpu {
namespace {

constexpr int kLanes = Simd::kLanes;

// kVectors vectors of the 32 outputs, kColumns columns.
template <int kColumns>
inline void panel_block(const PanelProduct& p, int first_vector) {
  constexpr int kVectors = Simd::kFloatVectors;
  Simd::F sums[kVectors][kColumns];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i)
      sums[v][i] = p.accumulate ? Simd::load(p.c + i * p.c_stride + (first_vector + v) * kLanes) : Simd::zero();
  const float* weights = p.w + first_vector * kLanes;
  const float* x = p.x;
#pragma GCC unroll 4
  for (int64_t k = 0; k < p.n_k; ++k, weights += p.w_stride, x += p.x_k) {
    Simd::F w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = Simd::load(weights + v * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) {
      const Simd::F value = Simd::set1(x[i * p.x_i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[v][i] = Simd::fma(w[v], value, sums[v][i]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 6
    for (int i = 0; i < kColumns; ++i) Simd::store(p.c + i * p.c_stride + (first_vector + v) * kLanes, sums[v][i]);
}

void multiply_panel(const PanelProduct& p) {
  for (int v = 0; v < kKeyTile / kLanes; v += Simd::kFloatVectors) {
    switch (p.n_columns) {
      case 1: panel_block<1>(p, v); break;
      case 2: panel_block<2>(p, v); break;
      case 3: panel_block<3>(p, v); break;
      case 4: panel_block<4>(p, v); break;
      case 5: panel_block<5>(p, v); break;
      default: panel_block<6>(p, v); break;
    }
  }
}

// out [n, 32] from 32 rows [32, stride]; n is a multiple of 16.
void transpose_keys(const float* rows, int64_t stride, int64_t n, float* out) {
  for (int v = 0; v < kKeyTile / kLanes; ++v)
    for (int64_t begin = 0; begin < n; begin += kLanes) {
      Simd::I words[kLanes];
      for (int r = 0; r < kLanes; ++r) words[r] = Simd::load_int(rows + (v * kLanes + r) * stride + begin);
      Simd::transpose(words);
      for (int i = 0; i < kLanes; ++i) Simd::store_int(out + (begin + i) * kKeyTile + v * kLanes, words[i]);
    }
}

// cap * tanh(s / cap)
inline Simd::F soft_capped(Simd::F s, float cap) {
  const Simd::F twice = Simd::mul(s, Simd::set1(2.0f / cap));
  return Simd::mul(Simd::set1(cap), Simd::sub(Simd::mul(Simd::set1(2.0f), sigmoid(twice)), Simd::set1(1.0f)));
}

float softmax_tile(float* scores, float scale, float softcap, int first, int end, SoftmaxState& state) {
  if (end <= first) {
    for (int i = 0; i < kKeyTile; ++i) scores[i] = 0;
    return 1.0f;
  }
  for (int i = 0; i < kKeyTile; i += kLanes) {
    Simd::F s = Simd::mul(Simd::load(scores + i), Simd::set1(scale));
    if (softcap > 0) s = soft_capped(s, softcap);
    Simd::store(scores + i, s);
  }
  constexpr float kMasked = -3.4e38f;
  for (int i = 0; i < first; ++i) scores[i] = kMasked;
  for (int i = end; i < kKeyTile; ++i) scores[i] = kMasked;
  Simd::F largest = Simd::load(scores);
  for (int i = kLanes; i < kKeyTile; i += kLanes) largest = Simd::max(largest, Simd::load(scores + i));
  const float tile_max = Simd::highest(largest), highest = tile_max > state.highest ? tile_max : state.highest;
  Simd::F sums = Simd::zero();
  for (int i = 0; i < kKeyTile; i += kLanes) {
    const Simd::F p = exp(Simd::sub(Simd::load(scores + i), Simd::set1(highest)));
    Simd::store(scores + i, p);
    if (first == 0 && end == kKeyTile) sums = Simd::add(sums, p);
  }
  if (first != 0 || end != kKeyTile) {
    // exp() ends at the smallest normal number: masked keys must not weigh even that.
    for (int i = 0; i < first; ++i) scores[i] = 0;
    for (int i = end; i < kKeyTile; ++i) scores[i] = 0;
    for (int i = 0; i < kKeyTile; i += kLanes) sums = Simd::add(sums, Simd::load(scores + i));
  }
  const float correction = state.sum > 0 && highest > state.highest ? __builtin_expf(state.highest - highest) : 1.0f;
  state.sum = state.sum * correction + Simd::sum(sums);
  state.highest = highest;
  return correction;
}

void scale_row(float* x, float factor, int64_t n) {
  const Simd::F f = Simd::set1(factor);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Simd::store(x + i, Simd::mul(Simd::load(x + i), f));
  for (; i < n; ++i) x[i] *= factor;
}

// kLanes elements of a cache row from element i on.
struct F32CacheRow {
  static constexpr int kBytes32 = 128;  // of 32 elements
  static Simd::F load(const uint8_t* row, int64_t i) { return Simd::load(reinterpret_cast<const float*>(row) + i); }
};
struct F16CacheRow {
  static constexpr int kBytes32 = 64;
  static Simd::F load(const uint8_t* row, int64_t i) { return Simd::load_f16(reinterpret_cast<const uint16_t*>(row) + i); }
};
struct Bf16CacheRow {
  static constexpr int kBytes32 = 64;
  static Simd::F load(const uint8_t* row, int64_t i) { return Simd::load_bf16(reinterpret_cast<const uint16_t*>(row) + i); }
};
struct Q8CacheRow {
  static constexpr int kBytes32 = 34;
  static Simd::F load(const uint8_t* row, int64_t i) {
    const uint8_t* block = row + i / 32 * 34;
    uint16_t bits;
    __builtin_memcpy(&bits, block, 2);
    const Simd::F scale = Simd::set1(Simd::f16_value(bits));
    return Simd::mul(scale, Simd::load_i8(reinterpret_cast<const int8_t*>(block) + 2 + i % 32));
  }
};

template <typename Row>
void load_tile(const CacheTile& tile, float* out, int64_t stride) {
  for (int r = 0; r < kKeyTile; ++r, out += stride) {
    const uint8_t* row = tile.rows + static_cast<size_t>(r) * tile.row_bytes;
    for (int64_t i = 0; i < tile.n; i += kLanes) Simd::store(out + i, r < tile.n_rows ? Row::load(row, tile.offset + i) : Simd::zero());
  }
}

template <typename Row>
void load_tile_transposed(const CacheTile& tile, float* out) {
  for (int v = 0; v < kKeyTile; v += kLanes)
    for (int64_t i = 0; i < tile.n; i += kLanes) {
      Simd::I words[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) {
        const uint8_t* row = tile.rows + static_cast<size_t>(v + r) * tile.row_bytes;
        words[r] = Simd::as_int(v + r < tile.n_rows ? Row::load(row, tile.offset + i) : Simd::zero());
      }
      Simd::transpose(words);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) Simd::store_int(out + (i + r) * kKeyTile + v, words[r]);
    }
}

void load_cache_tile(const CacheTile& tile, float* out, int64_t stride) {
  switch (tile.format) {
    case CacheFormat::kF32: return load_tile<F32CacheRow>(tile, out, stride);
    case CacheFormat::kF16: return load_tile<F16CacheRow>(tile, out, stride);
    case CacheFormat::kBF16: return load_tile<Bf16CacheRow>(tile, out, stride);
    case CacheFormat::kQ8_0: return load_tile<Q8CacheRow>(tile, out, stride);
  }
}

void load_cache_tile_transposed(const CacheTile& tile, float* out) {
  switch (tile.format) {
    case CacheFormat::kF32: return load_tile_transposed<F32CacheRow>(tile, out);
    case CacheFormat::kF16: return load_tile_transposed<F16CacheRow>(tile, out);
    case CacheFormat::kBF16: return load_tile_transposed<Bf16CacheRow>(tile, out);
    case CacheFormat::kQ8_0: return load_tile_transposed<Q8CacheRow>(tile, out);
  }
}

}  // namespace
}  // namespace moebius::cpu

#include "kernels/cpu/attention_rows.inl"

namespace moebius::cpu {
namespace MOEBIUS_LEVEL {

void fill_attention_ops(LevelOps& ops) {
  ops.multiply_panel = multiply_panel;
  ops.transpose_keys = transpose_keys;
  ops.softmax_tile = softmax_tile;
  ops.scale_row = scale_row;
  ops.score_keys = score_keys;
  ops.add_values = add_values;
  ops.load_cache_tile = load_cache_tile;
  ops.load_cache_tile_transposed = load_cache_tile_transposed;
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
