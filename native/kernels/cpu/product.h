// One product: up to 32 weight rows times a set of input columns, by whichever kernel the
// phase and the number of columns ask for. Decode always uses row dots, whose arithmetic
// does not depend on the other columns; prefill uses tiles from as many columns on as the
// context's thresholds say.
#pragma once

#include "kernels/cpu/step.h"

namespace moebius::cpu {

// Columns multiplied with one expansion of a tile: their codes stay in the second cache.
constexpr int64_t kSpanColumns = 32 * kTileColumns;

constexpr int64_t column_tiles(int64_t n) { return (n + kTileColumns - 1) / kTileColumns; }

// Whether a product with n columns expands tiles instead of reading the blocks column by column.
inline bool uses_tiles(const KernelContext& context, QuantFormat format, int64_t n_columns) {
  return context.phase == Phase::kPrefill && n_columns >= context.thresholds_in_use().tile_columns(format);
}

// Consecutive tiles a worker takes at once: enough to fetch ahead and to reuse the columns,
// few enough to keep all workers busy to the end.
constexpr int64_t kMaxTilesPerJob = 4;
constexpr int64_t tiles_per_job(int64_t n_tiles, int64_t n_workers) {
  return std::clamp<int64_t>(n_tiles / (n_workers * 8), 1, kMaxTilesPerJob);
}

// The n input columns of a product; column i is input row rows[i] (i when rows is null).
// With panels the product uses tiles, without it reads the rows of the inputs.
struct Columns {
  Inputs inputs;
  const int32_t* rows = nullptr;
  int64_t n = 0;
  const ColumnBlock* panels = nullptr;             // [column_tiles(n), blocks_per_row] or null
  const FloatColumnBlock* float_panels = nullptr;  // the same for float weights

  int64_t input_row(int64_t i) const { return rows != nullptr ? rows[i] : i; }
};

// Columns that several products share, as the one with weights of `format` takes them.
inline Columns columns_for(const KernelContext& context, QuantFormat format, Columns columns) {
  if (!uses_tiles(context, format, columns.n)) columns.panels = nullptr, columns.float_panels = nullptr;
  return columns;
}

// Temporaries of one worker.
struct ProductBuffers {
  TileBlock* tile = nullptr;
  FloatTileBlock* float_tile = nullptr;
  float* rows = nullptr;  // [max(n_in, 32 * 256)]

  static ProductBuffers take(StepScratch&, int64_t n_workers, int64_t n_in);
  ProductBuffers of_worker(int worker) const {
    return {tile + worker, float_tile + worker, rows + worker * row_elements};
  }
  int64_t row_elements = 0;
};

// Fills panels [first_tile, end_tile) of a column set.
void pack_code_panels(const LevelOps&, const Columns&, int64_t first_tile, int64_t end_tile, ColumnBlock* panels);
void pack_float_panels(const Columns&, int64_t n_in, int64_t first_tile, int64_t end_tile, FloatColumnBlock* panels);

// Rows of a matrix, and what their worker reads after them (null: the rows behind).
struct RowRange {
  int64_t first = 0, n = 0;
  const uint8_t* next = nullptr;
};
// Tile i of the n_tiles of a run from first_tile on; `next` follows the last.
inline RowRange rows_of_tile(const Matrix& weights, int64_t first_tile, int64_t n_tiles, int64_t i, const uint8_t* next) {
  const int64_t first = (first_tile + i) * kTileRows;
  return {first, std::min(kTileRows, weights.n_out - first), i + 1 == n_tiles ? next : nullptr};
}

// c[i, r] = scale * (weight row rows.first + r) . (column first + i) + bias for up to 32
// rows and n <= kSpanColumns columns; c [n, 32]; `first` is a multiple of kSpanColumns.
void multiply_rows(const LevelOps&, const KernelContext&, const Matrix& weights, const RowRange& rows,
                   const Columns&, int64_t first, int64_t n, const float* bias, const ProductBuffers&, float* c);

}  // namespace moebius::cpu
