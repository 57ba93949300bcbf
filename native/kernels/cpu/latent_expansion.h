// From latent rows to the keys and values of each head: k = [W_k_b^T c | k_rope], v = W_v_b c.
// With quantised projections the latents are rounded to int8 once for all heads and k_b is
// transposed to Q8_0; float projections (and the exact mode) run in f32.
#pragma once

#include "kernels/cpu/flash.h"
#include "kernels/cpu/product.h"

namespace moebius::cpu {

// Where a slice of heads goes: keys [heads, tiles, key_dim, 32] and values [heads, tiles, 32,
// value_stride] as floats, or as pairs in bfloat16, [heads, tiles, (key_dim + 1) / 2, 32, 2] and
// [heads, tiles, 16, value_stride, 2].
struct ExpandedHeads {
  float *keys = nullptr, *values = nullptr;
  uint16_t *key_pairs = nullptr, *value_pairs = nullptr;
};

class LatentExpansion {
 public:
  // Takes its memory from `scratch`, which must outlive it.
  LatentExpansion(const LevelOps&, KernelContext&, StepScratch& scratch, const MlaShape&, const Matrix& k_b,
                  const Matrix& v_b, const AttentionSpan&);

  // Heads [first_head, first_head + n_heads).
  void run(int64_t first_head, int64_t n_heads, const ExpandedHeads& out);

 private:
  void prepare_latents();
  void decode_head(int worker, int64_t head);
  void transpose_to_codes(int worker);
  // Tiles of one head; keys and values are those of the first of them.
  struct Span {
    int64_t head, first_tile, end_tile;
  };
  void expand_into(int worker, int64_t slot, const Span&, const ExpandedHeads& out);
  void expand_span(int worker, const Span&, float* keys, float* values);
  void expand_codes(int worker, const Span&, float* keys, float* values);
  void expand_floats(int worker, const Span&, float* keys, float* values);
  void copy_rope(const Span&, float* keys) const;
  void pair_span(const Span&, const float* keys, const float* values, uint16_t* key_pairs, uint16_t* value_pairs) const;
  Matrix coded_k(int worker) const;
  float* latent_rows(int64_t tile) const { return rows_ + tile * kKeyTile * row_stride_; }
  float* latent_columns(int64_t tile) const { return columns_ + tile * kKeyTile * row_stride_; }

  const LevelOps& ops_;
  KernelContext& context_;
  const MlaShape& shape_;
  const Matrix &k_b_, &v_b_;
  const AttentionSpan& span_;
  bool codes_ = false;
  int64_t rank_ = 0, nope_ = 0, key_dim_ = 0, value_stride_ = 0, row_stride_ = 0, n_tiles_ = 0;
  float *rows_ = nullptr, *columns_ = nullptr;  // [tiles, 32, row_stride] and [tiles, row_stride, 32]
  float* row_buffers_ = nullptr;                // [workers, row_stride]
  float* k_weights_ = nullptr;                  // [workers, rank, nope]
  float* v_weights_ = nullptr;                  // [workers, rank, value_stride], float path
  uint8_t* coded_weights_ = nullptr;            // [workers, nope] rows of Q8_0
  Columns latents_;                             // columns are keys
  ProductBuffers buffers_;
  float* products_ = nullptr;                   // [workers, kSpanColumns, 32]
  float* transposed_ = nullptr;                 // [workers, max(rank, 32 * 32)]
  ActivationBlock* rounded_ = nullptr;          // [workers, blocks of rank]
  float *span_keys_ = nullptr, *span_values_ = nullptr;  // [workers] spans before they are paired
};

}  // namespace moebius::cpu
