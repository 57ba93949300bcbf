// Row dots on raw blocks for AArch64, as dot.inl: each weight byte is read once, expanded in
// registers and used for up to kMaxColumns activation rows. Pairwise additions bring the
// integer sums of four groups into one vector, so a block takes few conversions.
#include "kernels/cpu/activations.h"
#include "kernels/cpu/expand_neon_iq.h"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/quantize.inl"

namespace moebius::cpu {
namespace {

// The products of groups 4 part .. 4 part + 3 of a block, one a lane.
template <int kGroup>
inline float32x4_t group_products(const int8x16_t* codes, const int8_t* x, int part) {
  int32x4_t sums[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const int group = 4 * part + i;
    sums[i] = kGroup == 32 ? Simd::dot32(codes + 2 * group, x + 32 * group) : Simd::dot16(codes[group], x + 16 * group);
  }
  return vcvtq_f32_s32(vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3])));
}

// The activations' scales for groups 4 part .. 4 part + 3.
template <int kGroup>
inline float32x4_t input_scales(const ActivationBlock& column, int part) {
  if constexpr (kGroup == 32) return vld1q_f32(column.scales + 4 * part);
  const float32x4_t pair = vcombine_f32(vld1_f32(column.scales + 2 * part), vdup_n_f32(0));
  return vzip1q_f32(pair, pair);
}

template <int kGroup>
inline float32x4_t input_sums(const ActivationBlock& column, int part) {
  return vld1q_f32((kGroup == 32 ? column.sums32 : column.sums16) + 4 * part);
}

template <typename Format, int kColumns>
inline void add_block(const Expanded& block, const ActivationBlock* const* x, int64_t index, float32x4_t* products, float32x4_t* mins) {
  constexpr int kParts = 64 / Format::kGroup;
#pragma GCC unroll 4
  for (int c = 0; c < kColumns; ++c) {
    const ActivationBlock& column = x[c][index];
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      const float32x4_t scales = vmulq_f32(block.scales[part], input_scales<Format::kGroup>(column, part));
      products[c] = vfmaq_f32(products[c], group_products<Format::kGroup>(block.codes, column.codes, part), scales);
      if constexpr (Format::kHasMin) mins[c] = vfmaq_f32(mins[c], block.mins[part], input_sums<Format::kGroup>(column, part));
    }
  }
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
  const Codebooks& books = codebooks();
  const int64_t n_blocks = activation_blocks(weights.n_in);
  const uint8_t* end = weights.end();
  const ReadAhead read_ahead = ReadAhead::of(weights);
  uint8_t copy[kStep];
  for (int64_t r = 0; r < weights.n_rows; ++r) {
    const uint8_t* row = weights.row(r);
    const int64_t ahead = read_ahead.distance(row);
    float32x4_t products[kColumns], mins[kColumns];
    for (int c = 0; c < kColumns; ++c) products[c] = mins[c] = vdupq_n_f32(0);
    for (int64_t b = 0; b < n_blocks; ++b, row += kStep) {
      fetch_ahead(row, kStep, ahead);
      Expanded block;
      Format::expand(whole_block<Format>(row, end, copy), books, block);
      add_block<Format, kColumns>(block, columns, b, products, mins);
    }
    for (int c = 0; c < kColumns; ++c)
      out[c * out_stride + r] = Simd::sum(products[c]) - (Format::kHasMin ? Simd::sum(mins[c]) : 0.0f);
  }
}

// Rows of 128 elements (MLA's k_b) go in pairs: two rows are one block of 256, met by the
// column twice.
template <typename Format>
void dot_row_pairs(const WeightRows& weights, const ActivationBlock& column, float* out) {
  constexpr int kStep = 256 / Format::kBlockElements * Format::kBlockBytes;
  const Codebooks& books = codebooks();
  const uint8_t* end = weights.end();
  const ReadAhead read_ahead = ReadAhead::of(weights);
  uint8_t copy[kStep];
  int8_t twice[256];
  std::memcpy(twice, column.codes, 128);
  std::memcpy(twice + 128, column.codes, 128);
  for (int64_t r = 0; r < weights.n_rows; r += 2) {
    const uint8_t* row = weights.row(r);
    fetch_ahead(row, 2 * Format::kBlockBytes, read_ahead.distance(row));
    Expanded block;
    Format::expand(whole_block<Format>(row, end, copy), books, block);
    for (int i = 0; i < 2 && r + i < weights.n_rows; ++i) {
      const float32x4_t scales = vmulq_f32(block.scales[i], input_scales<32>(column, 0));
      float32x4_t sums = vmulq_f32(group_products<32>(block.codes, twice, i), scales);
      if constexpr (Format::kHasMin) sums = vfmsq_f32(sums, block.mins[i], input_sums<32>(column, 0));
      out[r + i] = Simd::sum(sums);
    }
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
    const WeightRows row = weights.slice(r, 1);
    for (int c = 0; c < n_columns; c += 4)
      dot_rows<format>(row, columns + c, n_columns - c < 4 ? n_columns - c : 4, out + c * out_stride + r, out_stride);
  }
}

}  // namespace

namespace MOEBIUS_LEVEL {

void fill_dot_ops(LevelOps& ops) {
  ops.quantize_groups = quantize_groups;
#define MOEBIUS_DOT(name) ops.dot_rows[static_cast<int>(QuantFormat::name)] = dot_rows<QuantFormat::name>;
  MOEBIUS_QUANTISED_FORMATS(MOEBIUS_DOT)
#undef MOEBIUS_DOT
}

}  // namespace MOEBIUS_LEVEL
}  // namespace moebius::cpu
