#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/product.h"
#include "quant/quant_format.h"

namespace moebius::cpu {

namespace {

// Rounds and packs what the formats of the jobs need.
Columns prepare_columns(const LevelOps& ops, KernelContext& context, StepScratch& scratch, const float* x,
                        int64_t n_tokens, int64_t x_stride, const MatmulJob* jobs, int64_t n_jobs) {
  const int64_t n_in = jobs[0].weights.n_in, n_blocks = activation_blocks(n_in), n_tiles = column_tiles(n_tokens);
  const auto any = [&](bool codes, bool tiles) {
    return std::any_of(jobs, jobs + n_jobs, [&](const MatmulJob& job) {
      return uses_codes(context, job.weights.format) == codes && (!tiles || uses_tiles(context, job.weights.format, n_tokens));
    });
  };
  Columns columns{{x, x_stride, nullptr, n_blocks}, nullptr, n_tokens};
  if (any(/*codes=*/true, /*tiles=*/false)) columns.inputs.blocks = quantize_rows(ops, context, scratch, x, n_tokens, n_in, x_stride);
  if (any(/*codes=*/true, /*tiles=*/true)) {
    auto* panels = scratch.take<ColumnBlock>(n_tiles * n_blocks);
    for_chunks(context, n_tiles, 1, [&](int64_t begin, int64_t end, int) { pack_code_panels(ops, columns, begin, end, panels); });
    columns.panels = panels;
  }
  if (any(/*codes=*/false, /*tiles=*/true)) {
    auto* panels = scratch.take<FloatColumnBlock>(n_tiles * n_blocks);
    for_chunks(context, n_tiles, 1, [&](int64_t begin, int64_t end, int) { pack_float_panels(columns, n_in, begin, end, panels); });
    columns.float_panels = panels;
  }
  return columns;
}

// n_tiles tiles of 32 rows of one matrix times all columns into y. A span of columns stays
// in the second cache while the tiles pass by.
void multiply_into(const LevelOps& ops, const KernelContext& context, const Matrix& weights, const float* bias,
                   int64_t first_tile, int64_t n_tiles, const Columns& columns, const ProductBuffers& buffers, float* c,
                   float* y, int64_t y_stride) {
  for (int64_t first = 0; first < columns.n; first += kSpanColumns) {
    const int64_t n = std::min(kSpanColumns, columns.n - first);
    for (int64_t tile = first_tile; tile < first_tile + n_tiles; ++tile) {
      const int64_t first_row = tile * kTileRows, n_rows = std::min(kTileRows, weights.n_out - first_row);
      multiply_rows(ops, context, weights, {first_row, n_rows}, columns, first, n, bias, buffers, c);
      for (int64_t i = 0; i < n; ++i) std::copy_n(c + i * kTileRows, n_rows, y + (first + i) * y_stride + first_row);
    }
  }
}

constexpr int64_t row_tiles(const Matrix& weights) { return (weights.n_out + kTileRows - 1) / kTileRows; }

}  // namespace

void matmul(const LevelOps& ops, KernelContext& context, const float* x, int64_t n_tokens, int64_t x_stride,
            const MatmulJob* jobs, int64_t n_jobs) {
  if (n_jobs == 0 || n_tokens == 0) return;
  StepScratch scratch(context);
  const int64_t n_workers = worker_count(context), c_elements = std::min(n_tokens, kSpanColumns) * kTileRows;
  const Columns columns = prepare_columns(ops, context, scratch, x, n_tokens, x_stride, jobs, n_jobs);
  const ProductBuffers buffers = ProductBuffers::take(scratch, n_workers, jobs[0].weights.n_in);
  auto* c = scratch.take<float>(n_workers * c_elements);
  int64_t n_tiles = 0;
  for (int64_t j = 0; j < n_jobs; ++j) n_tiles += row_tiles(jobs[j].weights);
  for_chunks(context, n_tiles, tiles_per_job(n_tiles, n_workers), [&](int64_t begin, int64_t end, int worker) {
    int64_t tile = begin, j = 0;
    while (tile >= row_tiles(jobs[j].weights)) tile -= row_tiles(jobs[j++].weights);
    for (int64_t left = end - begin; left > 0; tile = 0, ++j) {
      const int64_t count = std::min(left, row_tiles(jobs[j].weights) - tile);
      multiply_into(ops, context, jobs[j].weights, jobs[j].bias, tile, count, columns_for(context, jobs[j].weights.format, columns),
                    buffers.of_worker(worker), c + worker * c_elements, jobs[j].y, jobs[j].y_stride);
      left -= count;
    }
  });
}

void matmul_heads(const LevelOps& ops, KernelContext& context, const Matrix& weights, const float* x,
                  int64_t n_tokens, int64_t x_token_stride, int64_t x_head_stride, float* y,
                  int64_t y_token_stride, int64_t y_head_stride) {
  if (n_tokens == 0) return;
  StepScratch scratch(context);
  const int64_t n_in = weights.n_in, n_workers = worker_count(context), blocks = activation_blocks(n_in);
  const int64_t c_elements = std::min(n_tokens, kSpanColumns) * kTileRows;
  const bool codes = uses_codes(context, weights.format), tiles = uses_tiles(context, weights.format, n_tokens);
  auto* rounded = codes ? scratch.take<ActivationBlock>(n_workers * n_tokens * blocks) : nullptr;
  auto* panels = codes && tiles ? scratch.take<ColumnBlock>(n_workers * column_tiles(n_tokens) * blocks) : nullptr;
  auto* float_panels = !codes && tiles ? scratch.take<FloatColumnBlock>(n_workers * column_tiles(n_tokens) * blocks) : nullptr;
  const ProductBuffers buffers = ProductBuffers::take(scratch, n_workers, n_in);
  auto* c = scratch.take<float>(n_workers * c_elements);
  // A job is one head: its inputs are prepared by the worker that uses them.
  for_chunks(context, weights.n_matrices, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t h = begin; h < end; ++h) {
      Columns columns{{x + h * x_head_stride, x_token_stride, nullptr, blocks}, nullptr, n_tokens};
      if (codes) {
        ActivationBlock* own = rounded + worker * n_tokens * blocks;
        for (int64_t t = 0; t < n_tokens; ++t) ops.quantize_groups(columns.inputs.row(t), n_in, 0, blocks * 8, own + t * blocks);
        columns.inputs.blocks = own;
      }
      if (panels != nullptr) {
        columns.panels = panels + worker * column_tiles(n_tokens) * blocks;
        pack_code_panels(ops, columns, 0, column_tiles(n_tokens), panels + worker * column_tiles(n_tokens) * blocks);
      }
      if (float_panels != nullptr) {
        columns.float_panels = float_panels + worker * column_tiles(n_tokens) * blocks;
        pack_float_panels(columns, n_in, 0, column_tiles(n_tokens), float_panels + worker * column_tiles(n_tokens) * blocks);
      }
      const Matrix head = weights.slice(h);
      multiply_into(ops, context, head, nullptr, 0, row_tiles(head), columns, buffers.of_worker(worker),
                    c + worker * c_elements, y + h * y_head_stride, y_token_stride);
    }
  });
}

void gather_rows(const LevelOps&, KernelContext& context, const Matrix& table, const int32_t* ids, int64_t n,
                 float scale, float* y) {
  const QuantFormatInfo& info = quant_format_info(table.format);
  const float factor = scale * (table.matrix_scales != nullptr ? table.matrix_scales[0] : 1.0f);
  for_chunks(context, n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = y + i * table.n_in;
      info.dequantize_row(table.row(ids[i]), out, table.n_in);
      if (factor == 1.0f) continue;
      for (int64_t j = 0; j < table.n_in; ++j) out[j] *= factor;
    }
  });
}

}  // namespace moebius::cpu
