#include "kernels/cpu/step.h"

#include "quant/quant_format.h"

namespace moebius::cpu {

const ActivationBlock* quantize_rows(const LevelOps& ops, KernelContext& context, StepScratch& scratch,
                                     const float* x, int64_t n_rows, int64_t n, int64_t stride) {
  const int64_t blocks = activation_blocks(n);
  auto* out = scratch.take<ActivationBlock>(n_rows * blocks);
  constexpr int64_t kRowsPerChunk = 8;
  for_chunks(context, n_rows, kRowsPerChunk, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) ops.quantize_groups(x + r * stride, n, 0, blocks * 8, out + r * blocks);
  });
  return out;
}

namespace {

void finish(const Matrix& weights, const float* bias, int64_t n_rows, int64_t n, float* y, int64_t y_stride) {
  if (weights.matrix_scales == nullptr && bias == nullptr) return;
  const float scale = weights.matrix_scales != nullptr ? weights.matrix_scales[0] : 1.0f;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t r = 0; r < n_rows; ++r)
      y[i * y_stride + r] = y[i * y_stride + r] * scale + (bias != nullptr ? bias[r] : 0.0f);
}

void dot_floats(const LevelOps& ops, const WeightRows& rows, QuantFormat format, const float* const* columns,
                int n_columns, float* row_buffer, float* y, int64_t y_stride) {
  if (is_float_format(format)) {
    ops.float_dot_rows[static_cast<int>(format)](rows, columns, n_columns, y, y_stride);
    return;
  }
  const WeightRows decoded{reinterpret_cast<const uint8_t*>(row_buffer), 0, 1, rows.n_in};
  for (int64_t r = 0; r < rows.n_rows; ++r) {
    quant_format_info(format).dequantize_row(rows.data + static_cast<size_t>(r) * rows.row_bytes, row_buffer, rows.n_in);
    ops.float_dot_rows[static_cast<int>(QuantFormat::kF32)](decoded, columns, n_columns, y + r, y_stride);
  }
}

}  // namespace

void dot_columns(const LevelOps& ops, const KernelContext& context, const Matrix& weights, int64_t first_row,
                 int64_t n_rows, const Inputs& inputs, const int32_t* rows, int64_t n, const float* bias,
                 float* row_buffer, float* y, int64_t y_stride) {
  const WeightRows run{weights.row(first_row), weights.row_bytes, n_rows, weights.n_in};
  const bool codes = uses_codes(context, weights.format);
  for (int64_t i = 0; i < n; i += kMaxColumns) {
    const int count = static_cast<int>(std::min<int64_t>(kMaxColumns, n - i));
    float* to = y + i * y_stride;
    const auto input_row = [&](int c) { return rows != nullptr ? rows[i + c] : i + c; };
    if (codes) {
      const ActivationBlock* columns[kMaxColumns];
      for (int c = 0; c < count; ++c) columns[c] = inputs.block_row(input_row(c));
      ops.dot_rows[static_cast<int>(weights.format)](run, columns, count, to, y_stride);
    } else {
      const float* columns[kMaxColumns];
      for (int c = 0; c < count; ++c) columns[c] = inputs.row(input_row(c));
      dot_floats(ops, run, weights.format, columns, count, row_buffer, to, y_stride);
    }
  }
  finish(weights, bias != nullptr ? bias + first_row : nullptr, n_rows, n, y, y_stride);
}

}  // namespace moebius::cpu
