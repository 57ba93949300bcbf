#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/step.h"
#include "quant/quant_format.h"

namespace moebius::cpu {

namespace {

// Rows [begin, end) of job `job`: the unit of work of a matmul.
struct RowChunks {
  const MatmulJob* jobs;
  int64_t n_jobs;

  static int64_t count(const MatmulJob& job) {
    const int64_t grain = rows_per_chunk(job.weights.row_bytes);
    return (job.weights.n_out + grain - 1) / grain;
  }
  int64_t total() const {
    int64_t sum = 0;
    for (int64_t j = 0; j < n_jobs; ++j) sum += count(jobs[j]);
    return sum;
  }
  // body(job, first row, rows) of chunk `index`.
  template <typename Body>
  void visit(int64_t index, const Body& body) const {
    for (int64_t j = 0; j < n_jobs; ++j) {
      const int64_t chunks = count(jobs[j]);
      if (index < chunks) {
        const int64_t grain = rows_per_chunk(jobs[j].weights.row_bytes), begin = index * grain;
        body(jobs[j], begin, std::min(grain, jobs[j].weights.n_out - begin));
        return;
      }
      index -= chunks;
    }
  }
};

}  // namespace

void matmul(const LevelOps& ops, KernelContext& context, const float* x, int64_t n_tokens, int64_t x_stride,
            const MatmulJob* jobs, int64_t n_jobs) {
  if (n_jobs == 0 || n_tokens == 0) return;
  StepScratch scratch(context);
  const int64_t n_in = jobs[0].weights.n_in;
  const bool any_codes = std::any_of(jobs, jobs + n_jobs, [&](const MatmulJob& job) {
    return uses_codes(context, job.weights.format);
  });
  Inputs inputs{x, x_stride, nullptr, activation_blocks(n_in)};
  if (any_codes) inputs.blocks = quantize_rows(ops, context, scratch, x, n_tokens, n_in, x_stride);
  auto* buffers = scratch.take<float>(worker_count(context) * n_in);
  const RowChunks chunks{jobs, n_jobs};
  for_chunks(context, chunks.total(), 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t chunk = begin; chunk < end; ++chunk)
      chunks.visit(chunk, [&](const MatmulJob& job, int64_t first, int64_t count) {
        dot_columns(ops, context, job.weights, first, count, inputs, nullptr, n_tokens, job.bias,
                    buffers + worker * n_in, job.y + first, job.y_stride);
      });
  });
}

void matmul_heads(const LevelOps& ops, KernelContext& context, const Matrix& weights, const float* x,
                  int64_t n_tokens, int64_t x_token_stride, int64_t x_head_stride, float* y,
                  int64_t y_token_stride, int64_t y_head_stride) {
  StepScratch scratch(context);
  const int64_t n_in = weights.n_in, n_heads = weights.n_matrices, blocks = activation_blocks(n_in);
  const bool codes = uses_codes(context, weights.format);
  auto* quantized = codes ? scratch.take<ActivationBlock>(n_heads * n_tokens * blocks) : nullptr;
  auto* buffers = scratch.take<float>(worker_count(context) * n_in);
  // A job is one head: its inputs are rounded by the worker that uses them.
  for_chunks(context, n_heads, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t h = begin; h < end; ++h) {
      Inputs inputs{x + h * x_head_stride, x_token_stride, nullptr, blocks};
      if (codes) {
        ActivationBlock* rows = quantized + h * n_tokens * blocks;
        for (int64_t t = 0; t < n_tokens; ++t) ops.quantize_groups(inputs.row(t), n_in, 0, blocks * 8, rows + t * blocks);
        inputs.blocks = rows;
      }
      const Matrix head = weights.slice(h);
      dot_columns(ops, context, head, 0, head.n_out, inputs, nullptr, n_tokens, nullptr, buffers + worker * n_in,
                  y + h * y_head_stride, y_token_stride);
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
