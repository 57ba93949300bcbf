// Row dots on raw blocks: each weight byte is read once, expanded in registers and used
// for up to kMaxColumns activation rows. Included by one .cc file per level.
#include "kernels/cpu/activations.h"
#include "kernels/cpu/expand_formats.h"
#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {
namespace {

template <int kColumns>
struct Sums {
  Simd::F products[kColumns];
  __m256 mins[kColumns];
};

// The weights of one block, ready for the dots.
template <typename Format>
struct PreparedBlock {
  Simd::I codes[Simd::kVectorsPerBlock];
  Expanded expanded;

  void load(const uint8_t* p, const Grids& grids) {
    constexpr int kOffset = Format::kSigned ? Simd::kSignedOffset : Format::kOffset;
    expand_codes<Format>(p, grids, codes, expanded);
    if constexpr (kOffset != 0) {
      // (code - offset) * scale = code * scale - min
      for (int half = 0; half < (Format::kGroup == 16 ? 2 : 1); ++half)
        expanded.mins[half] = _mm256_mul_ps(expanded.scales[half], _mm256_set1_ps(kOffset));
    }
  }
};

template <typename Format>
constexpr bool kNeedsSums = Format::kHasMin || (Format::kSigned ? Simd::kSignedOffset : Format::kOffset) != 0;

template <typename Format>
inline Simd::I dot_vector(Simd::I codes, const int8_t* x) {
  if constexpr (Format::kSigned) return Simd::dot_signed(Simd::zero_int(), codes, Simd::load_aligned(x));
  return Simd::dot(Simd::zero_int(), codes, Simd::load_aligned(x));
}

template <typename Format, int kColumns>
inline void add_block(const PreparedBlock<Format>& block, const ActivationBlock* const* x, int64_t index,
                      Sums<kColumns>& sums) {
  constexpr int kBytes = 256 / Simd::kVectorsPerBlock;
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
    const ActivationBlock& column = x[c][index];
    if constexpr (Format::kGroup == 32) {
      const auto factors = Simd::factors32(block.expanded.scales, column.scales);
#pragma GCC unroll 8
      for (int i = 0; i < Simd::kVectorsPerBlock; ++i)
        sums.products[c] = Simd::fma(Simd::to_float(dot_vector<Format>(block.codes[i], column.codes + i * kBytes)),
                                     Simd::spread32(factors, i), sums.products[c]);
      if constexpr (kNeedsSums<Format>)
        sums.mins[c] = _mm256_fmadd_ps(block.expanded.mins[0], _mm256_load_ps(column.sums32), sums.mins[c]);
    } else {
      const auto factors = Simd::factors16(block.expanded.scales, column.scales);
#pragma GCC unroll 8
      for (int i = 0; i < Simd::kVectorsPerBlock; ++i)
        sums.products[c] = Simd::fma(Simd::to_float(dot_vector<Format>(block.codes[i], column.codes + i * kBytes)),
                                     Simd::spread16(factors, i), sums.products[c]);
      if constexpr (kNeedsSums<Format>) {
        sums.mins[c] = _mm256_fmadd_ps(block.expanded.mins[0], _mm256_load_ps(column.sums16), sums.mins[c]);
        sums.mins[c] = _mm256_fmadd_ps(block.expanded.mins[1], _mm256_load_ps(column.sums16 + 8), sums.mins[c]);
      }
    }
  }
}

inline float sum8(__m256 v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

// The bytes of 256 elements at `p`. A row's last block may reach into the next row, where it
// meets activations of zero; only at the end of the run it is copied and padded.
template <typename Format>
inline const uint8_t* whole_block(const uint8_t* p, const uint8_t* end, uint8_t* copy) {
  constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;
  if (Format::kBlockElements == 256 || end - p >= kStep) return p;
  std::memset(copy, 0, kStep);
  std::memcpy(copy, p, static_cast<size_t>(end - p));
  return copy;
}

template <typename Format, int kColumns>
void dot_rows_of(const WeightRows& weights, const ActivationBlock* const* columns, float* out, int64_t out_stride) {
  constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;
  const Grids grids = find_grids();
  const int64_t n_blocks = activation_blocks(weights.n_in);
  const uint8_t* end = weights.data + static_cast<size_t>(weights.n_rows) * weights.row_bytes;
  alignas(32) uint8_t copy[kStep];
  for (int64_t r = 0; r < weights.n_rows; ++r) {
    const uint8_t* row = weights.data + static_cast<size_t>(r) * weights.row_bytes;
    Sums<kColumns> sums;
    for (int c = 0; c < kColumns; ++c) {
      sums.products[c] = Simd::zero();
      sums.mins[c] = _mm256_setzero_ps();
    }
    for (int64_t b = 0; b < n_blocks; ++b, row += kStep) {
      // A few KiB ahead: the next rows of the run, past the end at worst (no fault).
      _mm_prefetch(reinterpret_cast<const char*>(row + 4096), _MM_HINT_T0);
      if constexpr (kStep > 64) _mm_prefetch(reinterpret_cast<const char*>(row + 4160), _MM_HINT_T0);
      if constexpr (kStep > 128) _mm_prefetch(reinterpret_cast<const char*>(row + 4224), _MM_HINT_T0);
      PreparedBlock<Format> block;
      block.load(whole_block<Format>(row, end, copy), grids);
      add_block<Format, kColumns>(block, columns, b, sums);
    }
    for (int c = 0; c < kColumns; ++c) {
      const float mins = kNeedsSums<Format> ? sum8(sums.mins[c]) : 0.0f;
      out[c * out_stride + r] = Simd::sum(sums.products[c]) - mins;
    }
  }
}

// Rows of 128 elements (MLA's k_b) go in pairs: two rows are one block of 256, met by the
// column twice. Lane by lane the arithmetic is that of a single row.
template <typename Format>
void dot_row_pairs(const WeightRows& weights, const ActivationBlock& column, float* out) {
  constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes, kHalf = Simd::kVectorsPerBlock / 2;
  constexpr int kBytes = 256 / Simd::kVectorsPerBlock;
  const Grids grids = find_grids();
  const uint8_t* end = weights.data + static_cast<size_t>(weights.n_rows) * weights.row_bytes;
  alignas(32) uint8_t copy[kStep];
  ActivationBlock twice = column;
  std::memcpy(twice.codes + 128, column.codes, 128);
  for (int g = 0; g < 4; ++g) {
    twice.scales[4 + g] = column.scales[g];
    twice.sums32[4 + g] = column.sums32[g];
  }
  for (int64_t r = 0; r < weights.n_rows; r += 2) {
    const uint8_t* row = weights.data + static_cast<size_t>(r) * weights.row_bytes;
    _mm_prefetch(reinterpret_cast<const char*>(row + 4096), _MM_HINT_T0);
    PreparedBlock<Format> block;
    block.load(whole_block<Format>(row, end, copy), grids);
    const auto factors = Simd::factors32(block.expanded.scales, twice.scales);
    Simd::F products[2] = {Simd::zero(), Simd::zero()};
#pragma GCC unroll 8
    for (int i = 0; i < Simd::kVectorsPerBlock; ++i)
      products[i / kHalf] = Simd::fma(Simd::to_float(dot_vector<Format>(block.codes[i], twice.codes + i * kBytes)),
                                      Simd::spread32(factors, i), products[i / kHalf]);
    alignas(32) float mins[8] = {};
    if constexpr (kNeedsSums<Format>)
      _mm256_store_ps(mins, _mm256_mul_ps(block.expanded.mins[0], _mm256_load_ps(twice.sums32)));
    for (int64_t i = 0; i < 2 && r + i < weights.n_rows; ++i)
      out[r + i] = Simd::sum(products[i]) - ((mins[4 * i] + mins[4 * i + 1]) + (mins[4 * i + 2] + mins[4 * i + 3]));
  }
}

template <QuantFormat format>
void dot_rows(const WeightRows& weights, const ActivationBlock* const* columns, int n_columns, float* out,
              int64_t out_stride) {
  using Format = BlockFormat<format>;
  if constexpr (Format::kBlockElements == 32) {
    if (weights.n_in == 128 && weights.row_bytes == 4 * Format::kBlockBytes) {
      for (int c = 0; c < n_columns; ++c) dot_row_pairs<Format>(weights, *columns[c], out + c * out_stride);
      return;
    }
  }
  switch (n_columns) {
    case 1: return dot_rows_of<Format, 1>(weights, columns, out, out_stride);
    case 2: return dot_rows_of<Format, 2>(weights, columns, out, out_stride);
    case 3: return dot_rows_of<Format, 3>(weights, columns, out, out_stride);
    case 4: return dot_rows_of<Format, 4>(weights, columns, out, out_stride);
    default: break;
  }
  // Wider calls pair up so that the weights stay in the first cache between the passes.
  for (int64_t r = 0; r < weights.n_rows; ++r) {
    const WeightRows row{weights.data + static_cast<size_t>(r) * weights.row_bytes, weights.row_bytes, 1, weights.n_in};
    for (int c = 0; c < n_columns; c += 4)
      dot_rows<format>(row, columns + c, n_columns - c < 4 ? n_columns - c : 4, out + c * out_stride + r, out_stride);
  }
}

// One group of 32: values beyond n_valid are zero.
inline void quantize_group(const float* x, int64_t n_valid, ActivationBlock& block, int64_t g) {
  constexpr int kLanes = Simd::kLanes, kVectors = 32 / kLanes;
  Simd::F values[kVectors];
  Simd::F largest = Simd::zero();
  for (int v = 0; v < kVectors; ++v) {
    const int64_t left = n_valid - v * kLanes;
    values[v] = left >= kLanes ? Simd::load(x + v * kLanes)
                : left <= 0    ? Simd::zero()
                               : Simd::load_first(x + v * kLanes, static_cast<int>(left));
    largest = Simd::max(largest, Simd::abs(values[v]));
  }
  // A group that is practically zero becomes zero: its inverse scale would overflow.
  const float amax = Simd::highest(largest);
  const float scale = amax < 1e-30f ? 0.0f : amax / 127.0f;
  const Simd::F inverse = Simd::set1(amax < 1e-30f ? 0.0f : 127.0f / amax);
  int32_t sums[2] = {0, 0};
  for (int v = 0; v < kVectors; ++v)
    sums[v * kLanes / 16] += Simd::store_codes(block.codes + g * 32 + v * kLanes, Simd::mul(values[v], inverse));
  block.scales[g] = scale;
  block.sums32[g] = scale * static_cast<float>(sums[0] + sums[1]);
  block.sums16[2 * g] = scale * static_cast<float>(sums[0]);
  block.sums16[2 * g + 1] = scale * static_cast<float>(sums[1]);
}

void quantize_groups(const float* x, int64_t n_valid, int64_t first_group, int64_t n_groups, ActivationBlock* row) {
  for (int64_t i = 0; i < n_groups; ++i)
    quantize_group(x + i * 32, n_valid - i * 32, row[(first_group + i) / 8], (first_group + i) % 8);
}

}  // namespace

namespace MOEBIUS_LEVEL {

void fill_dot_ops(LevelOps& ops) {
  ops.quantize_groups = quantize_groups;
#define MOEBIUS_DOT(name) ops.dot_rows[static_cast<int>(QuantFormat::name)] = dot_rows<QuantFormat::name>;
  MOEBIUS_DOT(kQ4_0) MOEBIUS_DOT(kQ4_1) MOEBIUS_DOT(kQ5_0) MOEBIUS_DOT(kQ5_1) MOEBIUS_DOT(kQ8_0)
  MOEBIUS_DOT(kQ2_K) MOEBIUS_DOT(kQ3_K) MOEBIUS_DOT(kQ4_K) MOEBIUS_DOT(kQ5_K) MOEBIUS_DOT(kQ6_K)
  MOEBIUS_DOT(kIQ2_XXS) MOEBIUS_DOT(kIQ2_XS) MOEBIUS_DOT(kIQ2_S) MOEBIUS_DOT(kIQ3_XXS) MOEBIUS_DOT(kIQ3_S)
  MOEBIUS_DOT(kIQ1_S) MOEBIUS_DOT(kIQ1_M) MOEBIUS_DOT(kIQ4_NL) MOEBIUS_DOT(kIQ4_XS)
  MOEBIUS_DOT(kTQ1_0) MOEBIUS_DOT(kTQ2_0) MOEBIUS_DOT(kMXFP4) MOEBIUS_DOT(kNVFP4)
#undef MOEBIUS_DOT
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
