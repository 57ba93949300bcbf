#include "kernels/cpu/step.h"

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

}  // namespace moebius::cpu
