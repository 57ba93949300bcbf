// Helpers of the orchestration: scratch that gives itself back, loops over the pool, and
// the preparation of input rows. Baseline code, no intrinsics.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

// Temporaries of one kernel call, released when it ends. take() only on the calling thread.
class StepScratch {
 public:
  explicit StepScratch(KernelContext& context) {
    if (context.scratch == nullptr) own_.emplace();
    scratch_ = context.scratch != nullptr ? context.scratch : &*own_;
    mark_ = scratch_->mark();
  }
  ~StepScratch() { scratch_->release(mark_); }
  StepScratch(const StepScratch&) = delete;
  StepScratch& operator=(const StepScratch&) = delete;

  template <typename T>
  T* take(int64_t n) {
    return scratch_->take<T>(n);
  }

 private:
  std::optional<Scratch> own_;
  Scratch* scratch_ = nullptr;
  Scratch::Mark mark_;
};

inline int worker_count(const KernelContext& context) {
  return context.pool != nullptr ? context.pool->size() : 1;
}

// body(begin, end, worker) over chunks of [0, n); on the caller alone without a pool.
template <typename Body>
void for_chunks(KernelContext& context, int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  if (context.pool != nullptr && context.pool->size() > 1) {
    context.pool->parallel_for(n, grain, body);
  } else {
    for (int64_t begin = 0; begin < n; begin += grain) body(begin, std::min(n, begin + grain), 0);
  }
}

inline bool is_float_format(QuantFormat format) {
  return format == QuantFormat::kF32 || format == QuantFormat::kF16 || format == QuantFormat::kBF16;
}
// Whether the product rounds its input to int8.
inline bool uses_codes(const KernelContext& context, QuantFormat format) {
  return !context.exact && !is_float_format(format);
}

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }


// Input rows of a product in the form its weights need: int8 blocks, floats, or both.
struct Inputs {
  const float* x = nullptr;  // row r at x + r * stride
  int64_t stride = 0;
  const ActivationBlock* blocks = nullptr;  // row r at blocks + r * blocks_per_row; may be null
  int64_t blocks_per_row = 0;

  const float* row(int64_t r) const { return x + r * stride; }
  const ActivationBlock* block_row(int64_t r) const { return blocks + r * blocks_per_row; }
};

// Rounds n_rows rows of n to int8 blocks (in parallel when they are many).
const ActivationBlock* quantize_rows(const LevelOps&, KernelContext&, StepScratch&, const float* x,
                                     int64_t n_rows, int64_t n, int64_t stride);

}  // namespace moebius::cpu
