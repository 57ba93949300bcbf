#include "kernels/cpu/product.h"

#include <cstring>

#include "quant/quant_format.h"

namespace moebius::cpu {

ProductBuffers ProductBuffers::take(StepScratch& scratch, int64_t n_workers, int64_t n_in) {
  ProductBuffers buffers;
  buffers.row_elements = std::max<int64_t>(round_up(n_in, 16), kTileRows * 256);
  buffers.tile = scratch.take<TileBlock>(n_workers);
  buffers.float_tile = scratch.take<FloatTileBlock>(n_workers);
  buffers.rows = scratch.take<float>(n_workers * buffers.row_elements);
  return buffers;
}

void pack_code_panels(const LevelOps& ops, const Columns& columns, int64_t first_tile, int64_t end_tile,
                      ColumnBlock* panels) {
  const int64_t n_blocks = columns.inputs.blocks_per_row;
  for (int64_t tile = first_tile; tile < end_tile; ++tile) {
    const int64_t begin = tile * kTileColumns;
    const int count = static_cast<int>(std::min<int64_t>(kTileColumns, columns.n - begin));
    const ActivationBlock* rows[kTileColumns];
    for (int i = 0; i < count; ++i) rows[i] = columns.inputs.block_row(columns.input_row(begin + i));
    ops.pack_groups(rows, count, {0, n_blocks * 8}, n_blocks, panels + tile * n_blocks);
  }
}

void pack_float_panels(const Columns& columns, int64_t n_in, int64_t first_tile, int64_t end_tile,
                       FloatColumnBlock* panels) {
  const int64_t n_blocks = activation_blocks(n_in);
  for (int64_t tile = first_tile; tile < end_tile; ++tile) {
    FloatColumnBlock* out = panels + tile * n_blocks;
    std::memset(out, 0, static_cast<size_t>(n_blocks) * sizeof(FloatColumnBlock));
    for (int64_t i = 0; i < std::min<int64_t>(kTileColumns, columns.n - tile * kTileColumns); ++i) {
      const float* row = columns.inputs.row(columns.input_row(tile * kTileColumns + i));
      for (int64_t k = 0; k < n_in; ++k) out[k / 256].values[k % 256][i] = row[k];
    }
  }
}

namespace {

void finish(const Matrix& weights, const float* bias, int64_t n_rows, int64_t n, float* c) {
  if (weights.matrix_scales == nullptr && bias == nullptr) return;
  const float scale = weights.matrix_scales != nullptr ? weights.matrix_scales[0] : 1.0f;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t r = 0; r < n_rows; ++r) c[i * kTileRows + r] = c[i * kTileRows + r] * scale + (bias != nullptr ? bias[r] : 0.0f);
}

void multiply_code_tile(const LevelOps& ops, QuantFormat format, const WeightRows& rows, const Columns& columns,
                        int64_t first, int64_t n, bool prefetch_next, TileBlock* tile, float* c) {
  const int64_t n_blocks = columns.inputs.blocks_per_row;
  const ColumnBlock* panels = columns.panels + first / kTileColumns * n_blocks;
  const auto expand = ops.expand_tile[static_cast<int>(format)];
  const auto multiply = ops.multiply_tile[static_cast<int>(format)];
  std::memset(c, 0, static_cast<size_t>(n * kTileRows) * sizeof(float));
  // The rows of a tile lie together, and so does the tile that most likely comes next: it is
  // fetched in equal parts while this one is multiplied.
  const uint8_t* next = rows.next != nullptr ? rows.next : rows.end();
  const int64_t blocks = activation_blocks(rows.n_in);
  const int64_t part = round_up(static_cast<int64_t>(rows.row_bytes) * kTileRows / blocks, 64);
  for (int64_t b = 0; b < blocks; ++b) {
    expand(rows, b, tile);
    multiply(*tile, {panels, n_blocks, b}, n, {next + b * part, prefetch_next ? part : 0}, c);
  }
}

// 256 inputs of a weight row as floats: in place for full F32 blocks, else in `buffer`.
const float* float_segment(const LevelOps& ops, QuantFormat format, const uint8_t* row, int64_t first, int64_t n, float* buffer) {
  const QuantFormatInfo& info = quant_format_info(format);
  const uint8_t* src = row + first / info.block_elements * info.block_bytes;
  if (format == QuantFormat::kF32 && n == 256) return reinterpret_cast<const float*>(src);
  if (is_float_format(format)) {
    ops.load_floats(format, src, n, buffer);
  } else {
    info.dequantize_row(src, buffer, n);
  }
  std::fill(buffer + n, buffer + 256, 0.0f);
  return buffer;
}

void multiply_float_tile(const LevelOps& ops, QuantFormat format, const WeightRows& rows, const Columns& columns,
                         int64_t first, int64_t n, const ProductBuffers& buffers, float* c) {
  const int64_t n_blocks = activation_blocks(rows.n_in);
  const FloatColumnBlock* panels = columns.float_panels + first / kTileColumns * n_blocks;
  std::memset(c, 0, static_cast<size_t>(n * kTileRows) * sizeof(float));
  for (int64_t b = 0; b < n_blocks; ++b) {
    const float* segments[kTileRows];
    for (int64_t r = 0; r < kTileRows; ++r) {
      const uint8_t* row = rows.row(std::min(r, rows.n_rows - 1));
      segments[r] = float_segment(ops, format, row, b * 256, std::min<int64_t>(256, rows.n_in - b * 256), buffers.rows + r * 256);
    }
    ops.pack_float_tile(segments, buffers.float_tile);
    ops.multiply_float_tile(*buffers.float_tile, panels + b, n_blocks, n, c);
  }
}

void dot_floats(const LevelOps& ops, const WeightRows& rows, QuantFormat format, const float* const* columns,
                int n_columns, float* row_buffer, float* c) {
  if (is_float_format(format)) {
    ops.float_dot_rows[static_cast<int>(format)](rows, columns, n_columns, c, kTileRows);
    return;
  }
  const WeightRows decoded{reinterpret_cast<const uint8_t*>(row_buffer), 0, 1, rows.n_in};
  for (int64_t r = 0; r < rows.n_rows; ++r) {
    quant_format_info(format).dequantize_row(rows.row(r), row_buffer, rows.n_in);
    ops.float_dot_rows[static_cast<int>(QuantFormat::kF32)](decoded, columns, n_columns, c + r, kTileRows);
  }
}

void dot_rows(const LevelOps& ops, bool codes, QuantFormat format, const WeightRows& rows, const Columns& columns,
              int64_t first, int64_t n, const ProductBuffers& buffers, float* c) {
  for (int64_t i = 0; i < n; i += kMaxColumns) {
    const int count = static_cast<int>(std::min<int64_t>(kMaxColumns, n - i));
    const ActivationBlock* code_columns[kMaxColumns];
    const float* float_columns[kMaxColumns];
    for (int j = 0; j < count; ++j) {
      const int64_t row = columns.input_row(first + i + j);
      if (codes) {
        code_columns[j] = columns.inputs.block_row(row);
      } else {
        float_columns[j] = columns.inputs.row(row);
      }
    }
    if (codes) {
      ops.dot_rows[static_cast<int>(format)](rows, code_columns, count, c + i * kTileRows, kTileRows);
    } else {
      dot_floats(ops, rows, format, float_columns, count, buffers.rows, c + i * kTileRows);
    }
  }
}

}  // namespace

void multiply_rows(const LevelOps& ops, const KernelContext& context, const Matrix& weights, const RowRange& range,
                   const Columns& columns, int64_t first, int64_t n, const float* bias, const ProductBuffers& buffers, float* c) {
  const WeightRows rows{weights.row(range.first), weights.row_bytes, range.n, weights.n_in, range.next};
  const bool codes = uses_codes(context, weights.format);
  if (codes && columns.panels != nullptr) {
    multiply_code_tile(ops, weights.format, rows, columns, first, n, first == 0, buffers.tile, c);
  } else if (!codes && columns.float_panels != nullptr) {
    multiply_float_tile(ops, weights.format, rows, columns, first, n, buffers, c);
  } else {
    dot_rows(ops, codes, weights.format, rows, columns, first, n, buffers, c);
  }
  finish(weights, bias != nullptr ? bias + range.first : nullptr, range.n, n, c);
}

}  // namespace moebius::cpu
