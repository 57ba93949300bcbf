// Expanded MLA: keys and values of each head are rebuilt from the latent rows (arXiv
// 2405.04434), a slice of heads at a time, then attended like ordinary heads.
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/flash.h"
#include "quant/quant_format.h"

namespace moebius::cpu {

namespace {

constexpr int64_t kSliceBytes = int64_t{64} << 20;  // expanded keys and values held at once
constexpr int64_t kQueryRows = 96;                  // rows of one attention job
constexpr int64_t kTilesPerJob = 4;                 // key tiles of one expansion job

// All columns in groups of at most six, as even as possible.
template <typename Body>
void for_column_groups(int64_t n, const Body& body) {
  const int64_t n_groups = (n + kPanelColumns - 1) / kPanelColumns;
  for (int64_t g = 0; g < n_groups; ++g) body(n * g / n_groups, n * (g + 1) / n_groups - n * g / n_groups);
}

class ExpandedAttention {
 public:
  ExpandedAttention(const LevelOps& ops, KernelContext& context, const MlaShape& shape, const Matrix& k_b,
                    const Matrix& v_b, const AttentionSpan& span)
      : ops_(ops), context_(context), scratch_(context), shape_(shape), k_b_(k_b), v_b_(v_b), span_(span) {
    rank_ = shape.kv_lora_rank;
    nope_ = shape.qk_nope_head_dim;
    key_dim_ = nope_ + shape.qk_rope_head_dim;
    row_stride_ = round_up(rank_ + shape.qk_rope_head_dim, 32);
    value_stride_ = round_up(shape.v_head_dim, kKeyTile);
    n_tiles_ = end_tile(span.n_past + span.n_rows - 1);
    const int64_t head_bytes = n_tiles_ * kKeyTile * (key_dim_ + value_stride_) * 4 + rank_ * (nope_ + value_stride_) * 4;
    slice_heads_ = std::clamp<int64_t>(kSliceBytes / head_bytes, 1, shape.n_heads);
    rows_ = scratch_.take<float>(n_tiles_ * kKeyTile * row_stride_);
    columns_ = scratch_.take<float>(n_tiles_ * kKeyTile * row_stride_);
    k_weights_ = scratch_.take<float>(slice_heads_ * rank_ * nope_);
    v_weights_ = scratch_.take<float>(slice_heads_ * rank_ * value_stride_);
    weight_rows_ = scratch_.take<float>(slice_heads_ * rank_);
    keys_ = scratch_.take<float>(slice_heads_ * n_tiles_ * key_tile_elements());
    values_ = scratch_.take<float>(slice_heads_ * n_tiles_ * value_tile_elements());
    const int n_workers = worker_count(context);
    row_buffers_ = scratch_.take<float>(n_workers * row_stride_);
    queries_ = scratch_.take<QueryColumns>(n_workers);
    for (int w = 0; w < n_workers; ++w) queries_[w] = QueryColumns::take(scratch_, kQueryRows, key_dim_, shape.v_head_dim);
  }

  void run(const float* q, float* out) {
    for_chunks(context_, n_tiles_, 1, [this](int64_t begin, int64_t end, int worker) {
      for (int64_t tile = begin; tile < end; ++tile) load_latents(tile, worker);
    });
    for (int64_t head = 0; head < shape_.n_heads; head += slice_heads_) run_slice(head, std::min(slice_heads_, shape_.n_heads - head), q, out);
  }

 private:
  int64_t key_tile_elements() const { return key_dim_ * kKeyTile; }
  int64_t value_tile_elements() const { return value_stride_ * kKeyTile; }
  float* latent_rows(int64_t tile) const { return rows_ + tile * kKeyTile * row_stride_; }
  float* latent_columns(int64_t tile) const { return columns_ + tile * kKeyTile * row_stride_; }

  // The latent rows of a tile as [32, row_stride] and as [row_stride, 32].
  void load_latents(int64_t tile, int worker) {
    const CacheRows rows{static_cast<const uint8_t*>(span_.key_rows), shape_.row_bytes, rank_ + shape_.qk_rope_head_dim, shape_.cache_format};
    load_key_tile(ops_, rows, tile * kKeyTile, span_.n_past + span_.n_rows, 0, rows.row_elements, row_stride_,
                  row_buffers_ + worker * row_stride_, latent_rows(tile));
    ops_.transpose_keys(latent_rows(tile), row_stride_, row_stride_, latent_columns(tile));
  }

  void run_slice(int64_t first_head, int64_t n_heads, const float* q, float* out) {
    for_chunks(context_, n_heads, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t h = begin; h < end; ++h) decode_weights(h, first_head + h);
    });
    const int64_t tile_jobs = (n_tiles_ + kTilesPerJob - 1) / kTilesPerJob;
    for_chunks(context_, n_heads * tile_jobs, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t job = begin; job < end; ++job) {
        const int64_t first = job % tile_jobs * kTilesPerJob;
        for (int64_t tile = first; tile < std::min(first + kTilesPerJob, n_tiles_); ++tile) expand_tile(job / tile_jobs, tile);
      }
    });
    const int64_t row_jobs = (span_.n_rows + kQueryRows - 1) / kQueryRows;
    for_chunks(context_, n_heads * row_jobs, 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t job = begin; job < end; ++job)
        attend(job % n_heads, first_head + job % n_heads, (row_jobs - 1 - job / n_heads) * kQueryRows, queries_[worker], q, out);
    });
  }

  // k_b of a head as [rank, nope], v_b as [rank, value_stride].
  void decode_weights(int64_t slot, int64_t head) {
    const auto decode = [](const Matrix& weights, int64_t row, float* to) {
      quant_format_info(weights.format).dequantize_row(weights.row(row), to, weights.n_in);
      if (weights.matrix_scales == nullptr) return;
      for (int64_t i = 0; i < weights.n_in; ++i) to[i] *= weights.matrix_scales[0];
    };
    const Matrix k = k_b_.slice(head), v = v_b_.slice(head);
    float* k_to = k_weights_ + slot * rank_ * nope_;
    float* v_to = v_weights_ + slot * rank_ * value_stride_;
    for (int64_t l = 0; l < rank_; ++l) decode(k, l, k_to + l * nope_);
    float* row = weight_rows_ + slot * rank_;
    std::fill_n(v_to, rank_ * value_stride_, 0.0f);
    for (int64_t i = 0; i < shape_.v_head_dim; ++i) {
      decode(v, i, row);
      for (int64_t l = 0; l < rank_; ++l) v_to[l * value_stride_ + i] = row[l];
    }
  }

  void expand_tile(int64_t slot, int64_t tile) {
    const float *latents = latent_columns(tile), *rows = latent_rows(tile);
    const float *k = k_weights_ + slot * rank_ * nope_, *v = v_weights_ + slot * rank_ * value_stride_;
    float* keys = keys_ + (slot * n_tiles_ + tile) * key_tile_elements();
    float* values = values_ + (slot * n_tiles_ + tile) * value_tile_elements();
    for_column_groups(nope_, [&](int64_t j, int64_t n) {
      ops_.multiply_panel({latents, kKeyTile, rank_, k + j, nope_, 1, static_cast<int>(n), keys + j * kKeyTile, kKeyTile, false});
    });
    std::copy_n(latents + rank_ * kKeyTile, shape_.qk_rope_head_dim * kKeyTile, keys + nope_ * kKeyTile);
    for (int64_t d = 0; d < value_stride_; d += kKeyTile)
      for_column_groups(kKeyTile, [&](int64_t key, int64_t n) {
        ops_.multiply_panel({v + d, value_stride_, rank_, rows + key * row_stride_, 1, row_stride_, static_cast<int>(n),
                             values + key * value_stride_ + d, value_stride_, false});
      });
  }

  void attend(int64_t slot, int64_t head, int64_t first_row, QueryColumns& columns, const float* q, float* out) {
    const AttentionRule rule{shape_.scale, 0, kNoWindow};
    columns.n = std::min(kQueryRows, span_.n_rows - first_row);
    for (int64_t i = 0; i < columns.n; ++i) {
      columns.positions[i] = span_.n_past + first_row + i;
      std::copy_n(q + ((span_.first_row + first_row + i) * shape_.n_heads + head) * key_dim_, key_dim_, columns.q + i * key_dim_);
    }
    columns.reset();
    for (int64_t tile = 0; tile < end_tile(columns.positions[columns.n - 1]); ++tile)
      attend_tile(ops_, rule, tile, {keys_ + (slot * n_tiles_ + tile) * key_tile_elements(),
                                     values_ + (slot * n_tiles_ + tile) * value_tile_elements(), value_stride_}, columns);
    for (int64_t i = 0; i < columns.n; ++i) {
      const PartialResult part{columns.states + i, columns.out + i * value_stride_};
      merge_parts(ops_, &part, 1, nullptr, shape_.v_head_dim,
                  out + ((span_.first_row + first_row + i) * shape_.n_heads + head) * shape_.v_head_dim);
    }
  }

  const LevelOps& ops_;
  KernelContext& context_;
  StepScratch scratch_;
  const MlaShape& shape_;
  const Matrix &k_b_, &v_b_;
  const AttentionSpan& span_;
  int64_t rank_, nope_, key_dim_, row_stride_, value_stride_, n_tiles_, slice_heads_;
  float *rows_, *columns_;         // [tiles, 32, row_stride] and [tiles, row_stride, 32]
  float *k_weights_, *v_weights_;  // per head of the slice
  float *keys_, *values_;          // [slice, tiles, key_dim, 32] and [slice, tiles, 32, value_stride]
  float* weight_rows_;             // [slice, rank]
  float* row_buffers_;
  QueryColumns* queries_;
};

}  // namespace

void mla_expanded_attention(const LevelOps& ops, KernelContext& context, const MlaShape& shape, const Matrix& k_b,
                            const Matrix& v_b, const float* q, const AttentionSpan* spans, int64_t n_spans, float* out) {
  for (int64_t s = 0; s < n_spans; ++s) ExpandedAttention(ops, context, shape, k_b, v_b, spans[s]).run(q, out);
}

}  // namespace moebius::cpu
