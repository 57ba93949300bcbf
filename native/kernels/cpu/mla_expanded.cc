// Expanded MLA: keys and values of each head are rebuilt from the latent rows (arXiv
// 2405.04434), a slice of heads at a time, then attended like ordinary heads.
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/flash.h"
#include "kernels/cpu/latent_expansion.h"

namespace moebius::cpu {

namespace {

constexpr int64_t kSliceBytes = int64_t{32} << 20;  // expanded keys and values held at once
constexpr int64_t kQueryRows = 96;                  // rows of one attention job

class ExpandedAttention {
 public:
  ExpandedAttention(const LevelOps& ops, KernelContext& context, const MlaShape& shape, const Matrix& k_b,
                    const Matrix& v_b, const AttentionSpan& span)
      : ops_(ops), context_(context), scratch_(context), shape_(shape), span_(span), expansion_(ops, context, scratch_, shape, k_b, v_b, span) {
    key_dim_ = shape.qk_nope_head_dim + shape.qk_rope_head_dim;
    value_stride_ = round_up(shape.v_head_dim, kKeyTile);
    n_tiles_ = end_tile(span.n_past + span.n_rows - 1);
    const bool pairs = in_bf16(ops, context);
    const int64_t head_bytes = n_tiles_ * kKeyTile * (key_dim_ + value_stride_) * (pairs ? 2 : 4);
    slice_heads_ = std::clamp<int64_t>(kSliceBytes / head_bytes, 1, shape.n_heads);
    const int64_t n_slice = slice_heads_ * n_tiles_;
    if (pairs) {
      heads_.key_pairs = scratch_.take<uint16_t>(n_slice * pair_tile_elements());
      heads_.value_pairs = scratch_.take<uint16_t>(n_slice * value_tile_elements());
    } else {
      heads_.keys = scratch_.take<float>(n_slice * key_tile_elements());
      heads_.values = scratch_.take<float>(n_slice * value_tile_elements());
    }
    const int n_workers = worker_count(context);
    queries_ = scratch_.take<QueryColumns>(n_workers);
    for (int w = 0; w < n_workers; ++w) queries_[w] = QueryColumns::take(scratch_, kQueryRows, key_dim_, shape.v_head_dim, pairs);
  }

  void run(const float* q, float* out) {
    for (int64_t head = 0; head < shape_.n_heads; head += slice_heads_) run_slice(head, std::min(slice_heads_, shape_.n_heads - head), q, out);
  }

 private:
  int64_t key_tile_elements() const { return key_dim_ * kKeyTile; }
  int64_t pair_tile_elements() const { return round_up(key_dim_, 2) * kKeyTile; }
  int64_t value_tile_elements() const { return value_stride_ * kKeyTile; }

  KeyTileView tile_of(int64_t slot, int64_t tile) const {
    const int64_t at = slot * n_tiles_ + tile;
    KeyTileView view;
    view.value_row_stride = value_stride_;
    if (heads_.key_pairs != nullptr) {
      view.key_pairs = heads_.key_pairs + at * pair_tile_elements();
      view.value_pairs = heads_.value_pairs + at * value_tile_elements();
    } else {
      view.keys = heads_.keys + at * key_tile_elements();
      view.values = heads_.values + at * value_tile_elements();
    }
    return view;
  }

  void run_slice(int64_t first_head, int64_t n_heads, const float* q, float* out) {
    expansion_.run(first_head, n_heads, heads_);
    const int64_t row_jobs = (span_.n_rows + kQueryRows - 1) / kQueryRows;
    for_chunks(context_, n_heads * row_jobs, 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t job = begin; job < end; ++job)
        attend(job % n_heads, first_head + job % n_heads, (row_jobs - 1 - job / n_heads) * kQueryRows, queries_[worker], q, out);
    });
  }

  void attend(int64_t slot, int64_t head, int64_t first_row, QueryColumns& columns, const float* q, float* out) {
    const AttentionRule rule{shape_.scale, 0, kNoWindow};
    columns.n = std::min(kQueryRows, span_.n_rows - first_row);
    for (int64_t i = 0; i < columns.n; ++i) {
      columns.positions[i] = span_.n_past + first_row + i;
      std::copy_n(q + ((span_.first_row + first_row + i) * shape_.n_heads + head) * key_dim_, key_dim_, columns.q + i * key_dim_);
    }
    columns.round_queries(ops_);
    columns.reset();
    for (int64_t tile = 0; tile < end_tile(columns.positions[columns.n - 1]); ++tile) attend_tile(ops_, rule, tile, tile_of(slot, tile), columns);
    for (int64_t i = 0; i < columns.n; ++i) {
      finish_column(ops_, columns.result(i), nullptr, shape_.v_head_dim,
                    out + ((span_.first_row + first_row + i) * shape_.n_heads + head) * shape_.v_head_dim);
    }
  }

  const LevelOps& ops_;
  KernelContext& context_;
  StepScratch scratch_;
  const MlaShape& shape_;
  const AttentionSpan& span_;
  LatentExpansion expansion_;
  int64_t key_dim_ = 0, value_stride_ = 0, n_tiles_ = 0, slice_heads_ = 0;
  ExpandedHeads heads_;              // of one slice
  QueryColumns* queries_ = nullptr;  // one per worker
};

}  // namespace

void mla_expanded_attention(const LevelOps& ops, KernelContext& context, const MlaShape& shape, const Matrix& k_b,
                            const Matrix& v_b, const float* q, const AttentionSpan* spans, int64_t n_spans, float* out) {
  for (int64_t s = 0; s < n_spans; ++s) ExpandedAttention(ops, context, shape, k_b, v_b, spans[s]).run(q, out);
}

}  // namespace moebius::cpu
