// Views of weights. A view owns nothing: it points into a mapped file or a PageBuffer that
// the model keeps alive. Shapes are in GGUF order: the first dimension is contiguous.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moebius {

// GGUF type ids (ggml's numbering). Names as users know them: Q4_K is id 12.
enum class QuantFormat : int32_t {
  kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ5_0 = 6, kQ5_1 = 7, kQ8_0 = 8,
  kQ2_K = 10, kQ3_K = 11, kQ4_K = 12, kQ5_K = 13, kQ6_K = 14,
  kIQ2_XXS = 16, kIQ2_XS = 17, kIQ3_XXS = 18, kIQ1_S = 19, kIQ4_NL = 20, kIQ3_S = 21,
  kIQ2_S = 22, kIQ4_XS = 23, kI8 = 24, kI16 = 25, kI32 = 26, kI64 = 27, kF64 = 28,
  kIQ1_M = 29, kBF16 = 30, kTQ1_0 = 34, kTQ2_0 = 35, kMXFP4 = 39, kNVFP4 = 40,
};

// A matrix [n_in, n_out]: n_out rows of n_in elements in blocks of `format`.
// With n_matrices > 1 it is a stack [n_in, n_out, n_matrices] (experts, heads), each
// matrix one contiguous slice of n_out * row_bytes, slices matrix_stride bytes apart
// (more than the slice itself when gate and up share one fused tensor).
struct Matrix {
  const void* data = nullptr;
  QuantFormat format = QuantFormat::kF32;
  int64_t n_in = 0;
  int64_t n_out = 0;
  int64_t n_matrices = 1;
  size_t row_bytes = 0;
  size_t matrix_stride = 0;
  // Multiplies every product; NVFP4 files carry one per tensor or per matrix. null = 1.
  const float* matrix_scales = nullptr;
  bool scale_per_matrix = false;

  bool empty() const { return data == nullptr; }
  const uint8_t* row(int64_t index) const {
    return static_cast<const uint8_t*>(data) + static_cast<size_t>(index) * row_bytes;
  }
  // The view of one matrix of the stack.
  Matrix slice(int64_t index) const {
    Matrix one = *this;
    one.data = static_cast<const uint8_t*>(data) + static_cast<size_t>(index) * matrix_stride;
    one.n_matrices = 1;
    if (matrix_scales != nullptr && scale_per_matrix) one.matrix_scales = matrix_scales + index;
    one.scale_per_matrix = false;
    return one;
  }
  // Rows [begin, begin + count) of a single matrix.
  Matrix rows(int64_t begin, int64_t count) const {
    Matrix part = *this;
    part.data = row(begin);
    part.n_out = count;
    return part;
  }
};

}  // namespace moebius
