// What one instruction set level provides: leaf functions over a range of rows, without
// threads, allocation or choice. The orchestration (matmul.cc, ffn.cc, attention.cc) is
// compiled once for the baseline and calls them through this table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/tiles.h"
#include "kernels/kernels.h"

namespace moebius::cpu {

constexpr int kMaxFormats = kQuantFormatIds;
constexpr int kMaxColumns = 8;   // columns of one dot_rows call

// Every quantised format that has kernels, for tables of templates.
#define MOEBIUS_QUANTISED_FORMATS(each) MOEBIUS_FLAT_FORMATS(each) MOEBIUS_GRID_FORMATS(each)
#define MOEBIUS_FLAT_FORMATS(each)                                                            \
  each(kQ4_0) each(kQ4_1) each(kQ5_0) each(kQ5_1) each(kQ8_0)                                 \
  each(kQ2_K) each(kQ3_K) each(kQ4_K) each(kQ5_K) each(kQ6_K)                                 \
  each(kIQ4_NL) each(kIQ4_XS) each(kTQ1_0) each(kTQ2_0) each(kMXFP4) each(kNVFP4)
#define MOEBIUS_GRID_FORMATS(each)                                                            \
  each(kIQ2_XXS) each(kIQ2_XS) each(kIQ2_S) each(kIQ3_XXS) each(kIQ3_S) each(kIQ1_S) each(kIQ1_M)

// A run of rows of one matrix.
struct WeightRows {
  const uint8_t* data = nullptr;
  size_t row_bytes = 0;
  int64_t n_rows = 0;
  int64_t n_in = 0;
  const uint8_t* next = nullptr;  // what is read after them; null: the rows behind them

  const uint8_t* row(int64_t r) const { return data + static_cast<size_t>(r) * row_bytes; }
  const uint8_t* end() const { return row(n_rows); }
  WeightRows slice(int64_t first, int64_t n) const { return {row(first), row_bytes, n, n_in, first + n == n_rows ? next : nullptr}; }
};

// Weight bytes that will be needed soon.
struct Upcoming {
  const uint8_t* data = nullptr;
  int64_t bytes = 0;
};

// One block of all columns: the panels [column_tiles, n_blocks] as pack_columns filled them.
struct PanelBlock {
  const ColumnBlock* panels = nullptr;
  int64_t n_blocks = 0;
  int64_t block = 0;
};

// out[c * out_stride + r] = row r . column c. Each product is computed in the same order
// whatever the number of rows and columns.
using DotRows = void (*)(const WeightRows&, const ActivationBlock* const* columns, int n_columns,
                         float* out, int64_t out_stride);
using FloatDotRows = void (*)(const WeightRows&, const float* const* columns, int n_columns,
                              float* out, int64_t out_stride);

// Groups of 32 inputs of a row.
struct GroupRange {
  int64_t first = 0, end = 0;
};

// How the codes of an expanded tile are grouped: one scale per 32 or 16 inputs.
struct CodeForm {
  int group = 0;
  int min_group = 0;  // inputs that share a min, and codes below 128 as they are; 0: codes 128 above their value
};

// Twins of the float products with sums in f64 (exact_products.inl): the same bits on every
// level.
struct ExactProducts {
  FloatDotRows dot_rows[kMaxFormats] = {};
  void (*pack_float_tile)(const float* const* rows, FloatTileBlock* out) = nullptr;
  void (*multiply_float_tile)(const FloatTileBlock&, const FloatColumnBlock* columns, int64_t stride, int64_t n_columns, float* c) = nullptr;
  void (*multiply_panel)(const PanelProduct&) = nullptr;
};

// Attention in bfloat16 (attention_bf16.inl): operands are rounded, sums stay f32. Null where
// the processor has no such dot.
struct Bf16Products {
  // n elements, then zeros up to a multiple of 32.
  void (*round_row)(const float* x, int64_t n, uint16_t* out) = nullptr;
  // out [(n_rows + 1) / 2, n, 2] from rows [n_rows, stride]; n is a multiple of 32.
  void (*pair_rows)(const float* rows, int64_t stride, int64_t n_rows, int64_t n, uint16_t* out) = nullptr;
  void (*multiply_panel)(const PairPanelProduct&) = nullptr;
};

struct LevelOps {
  DotRows dot_rows[kMaxFormats] = {};             // quantised formats
  FloatDotRows float_dot_rows[kMaxFormats] = {};  // kF32, kF16, kBF16

  // Prefill products (tiles.h). expand_tile: inputs [256 block, + 256) of up to 32 rows.
  void (*expand_tile[kMaxFormats])(const WeightRows&, int64_t block, TileBlock* out) = {};
  CodeForm code_form[kMaxFormats] = {};
  // c[column, 32] += tile x columns, over the 256 inputs of one block. Fetches what comes
  // next while it multiplies.
  void (*multiply_tile[kMaxFormats])(const TileBlock&, const PanelBlock&, int64_t n_columns, Upcoming,
                                     float* c) = {};
  // Some groups of up to six activation rows into their panel [n_blocks]; how it is laid out is
  // the level's own affair. rows[i] is the block with the first of these groups of row i.
  void (*pack_groups)(const ActivationBlock* const* rows, int n_columns, GroupRange, int64_t n_blocks,
                      ColumnBlock* panel) = nullptr;
  // rows: 32 pointers to 256 floats.
  void (*pack_float_tile)(const float* const* rows, FloatTileBlock* out) = nullptr;
  void (*multiply_float_tile)(const FloatTileBlock&, const FloatColumnBlock* columns, int64_t stride,
                              int64_t n_columns, float* c) = nullptr;
  // n elements of a kF32, kF16 or kBF16 row as floats.
  void (*load_floats)(QuantFormat, const uint8_t* src, int64_t n, float* dst) = nullptr;

  // Rounds groups [first_group, first_group + n_groups) of 32 elements of a row; x points
  // at the first of them and holds n_valid elements, the rest is zero.
  void (*quantize_groups)(const float* x, int64_t n_valid, int64_t first_group, int64_t n_groups,
                          ActivationBlock* row) = nullptr;

  // out = act(gate) * up in the form of the activation; out may be gate.
  void (*activate)(Activation, const float* gate, const float* up, int64_t n, float* out) = nullptr;
  void (*rms_norm_row)(const float* x, int64_t n, const float* weight, float eps, float* y) = nullptr;
  void (*add)(float* y, const float* x, int64_t n) = nullptr;
  // Attention over tiles of 32 keys (attention_tiles.h).
  void (*multiply_panel)(const PanelProduct&) = nullptr;
  // out [n, 32] from rows [32, stride]; n is a multiple of 16.
  void (*transpose_keys)(const float* rows, int64_t stride, int64_t n, float* out) = nullptr;
  // Scores of 32 keys become weights exp(s - highest) (0 outside [first, end)); returns the
  // factor that what was accumulated before must be multiplied with.
  float (*softmax_tile)(float* scores, float scale, float softcap, int first, int end, SoftmaxState&) = nullptr;
  void (*scale_row)(float* x, float factor, int64_t n) = nullptr;
  // Decode: scores[c, 32] of keys [first, end) of a tile against n_columns queries; the others
  // are undefined. Null where only panels are exact.
  void (*score_keys)(const CacheTile&, int first, int end, const float* q, int64_t q_stride, int n_columns, float* scores) = nullptr;
  // out[c] += sum of weights[c, key] * value row, over keys [first, end).
  void (*add_values)(const CacheTile&, int first, int end, const float* weights, int n_columns, float* out, int64_t out_stride) = nullptr;
  // Cache rows as floats: [32, stride], and as [n, 32]. Rows that are missing are zero.
  void (*load_cache_tile)(const CacheTile&, float* out, int64_t stride) = nullptr;
  void (*load_cache_tile_transposed)(const CacheTile&, float* out) = nullptr;
  ExactProducts exact;
  Bf16Products bf16;
  // y += factor * x
  void (*add_scaled)(float* y, float factor, const float* x, int64_t n) = nullptr;
};

#ifdef MOEBIUS_X86_LEVELS
const LevelOps& avx2_ops();
const LevelOps& avx_vnni_ops();
const LevelOps& avx512_ops();
const LevelOps& avx512_bf16_ops();
const LevelOps& amx_ops();
const LevelOps& amx_model_ops();  // in builds with tests
#endif
#ifdef MOEBIUS_ARM_LEVELS
const LevelOps& neon_base_ops();
const LevelOps& neon_ops();
const LevelOps& neon_i8mm_ops();
#endif

}  // namespace moebius::cpu
