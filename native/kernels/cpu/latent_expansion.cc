#include "kernels/cpu/latent_expansion.h"

#include <cstring>

#include "quant/quant_format.h"
#include "quant/small_blocks.h"

namespace moebius::cpu {

namespace {

// All columns in groups of at most six, as even as possible.
template <typename Body>
void for_column_groups(int64_t n, const Body& body) {
  const int64_t n_groups = (n + kPanelColumns - 1) / kPanelColumns;
  for (int64_t g = 0; g < n_groups; ++g) body(n * g / n_groups, n * (g + 1) / n_groups - n * g / n_groups);
}

// Tiles whose projections share one expansion of the weights.
constexpr int64_t kSpanTiles = kSpanColumns / kKeyTile;

void decode_row(const Matrix& weights, int64_t row, float* to) {
  quant_format_info(weights.format).dequantize_row(weights.row(row), to, weights.n_in);
  if (weights.matrix_scales == nullptr) return;
  for (int64_t i = 0; i < weights.n_in; ++i) to[i] *= weights.matrix_scales[0];
}

}  // namespace

LatentExpansion::LatentExpansion(const LevelOps& ops, KernelContext& context, StepScratch& scratch, const MlaShape& shape,
                                 const Matrix& k_b, const Matrix& v_b, const AttentionSpan& span)
    : ops_(ops), context_(context), shape_(shape), k_b_(k_b), v_b_(v_b), span_(span) {
  rank_ = shape.kv_lora_rank;
  nope_ = shape.qk_nope_head_dim;
  key_dim_ = nope_ + shape.qk_rope_head_dim;
  value_stride_ = round_up(shape.v_head_dim, kKeyTile);
  row_stride_ = round_up(rank_ + shape.qk_rope_head_dim, 32);
  n_tiles_ = end_tile(span.n_past + span.n_rows - 1);
  codes_ = uses_codes(context, k_b.format) && uses_codes(context, v_b.format) && rank_ % 32 == 0;
  const int64_t n_workers = worker_count(context);
  rows_ = scratch.take<float>(n_tiles_ * kKeyTile * row_stride_);
  columns_ = scratch.take<float>(n_tiles_ * kKeyTile * row_stride_);
  row_buffers_ = scratch.take<float>(n_workers * row_stride_);
  k_weights_ = scratch.take<float>(n_workers * rank_ * nope_);
  transposed_ = scratch.take<float>(n_workers * std::max<int64_t>(rank_, kKeyTile * kKeyTile));
  prepare_latents();
  if (in_bf16(ops, context)) {
    span_keys_ = scratch.take<float>(n_workers * kSpanTiles * key_dim_ * kKeyTile);
    span_values_ = scratch.take<float>(n_workers * kSpanTiles * value_stride_ * kKeyTile);
  }
  if (!codes_) {
    v_weights_ = scratch.take<float>(n_workers * rank_ * value_stride_);
    return;
  }
  coded_weights_ = scratch.take<uint8_t>(n_workers * nope_ * static_cast<int64_t>(quant_row_bytes(QuantFormat::kQ8_0, rank_)));
  rounded_ = scratch.take<ActivationBlock>(n_workers * activation_blocks(rank_));
  buffers_ = ProductBuffers::take(scratch, n_workers, rank_);
  products_ = scratch.take<float>(n_workers * kSpanColumns * kTileRows);
  const int64_t n_keys = n_tiles_ * kKeyTile, n_blocks = activation_blocks(rank_), n_panels = column_tiles(n_keys);
  latents_ = {{rows_, row_stride_, nullptr, n_blocks}, nullptr, n_keys};
  latents_.inputs.blocks = quantize_rows(ops, context, scratch, rows_, n_keys, rank_, row_stride_);
  auto* panels = scratch.take<ColumnBlock>(n_panels * n_blocks);
  for_chunks(context, n_panels, 4, [&](int64_t begin, int64_t end, int) { pack_code_panels(ops, latents_, begin, end, panels); });
  latents_.panels = panels;
}

// The latent rows of each tile as [32, row_stride] and as [row_stride, 32].
void LatentExpansion::prepare_latents() {
  const int64_t n = rank_ + shape_.qk_rope_head_dim;
  const CacheRows rows{static_cast<const uint8_t*>(span_.key_rows), shape_.row_bytes, n, shape_.cache_format, 0, n, span_.n_past + span_.n_rows};
  for_chunks(context_, n_tiles_, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t tile = begin; tile < end; ++tile) {
      load_key_rows(ops_, rows, tile, row_stride_, row_buffers_ + worker * row_stride_, latent_rows(tile));
      ops_.transpose_keys(latent_rows(tile), row_stride_, row_stride_, latent_columns(tile));
    }
  });
}

void LatentExpansion::run(int64_t first_head, int64_t n_heads, const ExpandedHeads& out) {
  // Long histories leave few heads to a slice: then several workers share a head.
  const int64_t n_spans = (n_tiles_ + kSpanTiles - 1) / kSpanTiles;
  const int64_t n_parts = std::clamp<int64_t>(2 * worker_count(context_) / n_heads, 1, n_spans);
  for_chunks(context_, n_heads * n_parts, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t slot = job / n_parts, part = job % n_parts;
      decode_head(worker, first_head + slot);
      if (codes_) transpose_to_codes(worker);
      for (int64_t span = n_spans * part / n_parts; span < n_spans * (part + 1) / n_parts; ++span)
        expand_into(worker, slot, {first_head + slot, span * kSpanTiles, std::min(n_tiles_, (span + 1) * kSpanTiles)}, out);
    }
  });
}

void LatentExpansion::expand_into(int worker, int64_t slot, const Span& span, const ExpandedHeads& out) {
  const int64_t key_elements = key_dim_ * kKeyTile, value_elements = value_stride_ * kKeyTile, at = slot * n_tiles_ + span.first_tile;
  if (out.key_pairs == nullptr) return expand_span(worker, span, out.keys + at * key_elements, out.values + at * value_elements);
  float *keys = span_keys_ + worker * kSpanTiles * key_elements, *values = span_values_ + worker * kSpanTiles * value_elements;
  expand_span(worker, span, keys, values);
  pair_span(span, keys, values, out.key_pairs + at * round_up(key_dim_, 2) * kKeyTile, out.value_pairs + at * value_elements);
}

void LatentExpansion::expand_span(int worker, const Span& span, float* keys, float* values) {
  if (codes_)
    expand_codes(worker, span, keys, values);
  else
    expand_floats(worker, span, keys, values);
  copy_rope(span, keys);
}

void LatentExpansion::pair_span(const Span& span, const float* keys, const float* values, uint16_t* key_pairs, uint16_t* value_pairs) const {
  for (int64_t tile = 0; tile < span.end_tile - span.first_tile; ++tile) {
    ops_.bf16.pair_rows(keys + tile * key_dim_ * kKeyTile, kKeyTile, key_dim_, kKeyTile, key_pairs + tile * round_up(key_dim_, 2) * kKeyTile);
    ops_.bf16.pair_rows(values + tile * value_stride_ * kKeyTile, value_stride_, kKeyTile, value_stride_, value_pairs + tile * value_stride_ * kKeyTile);
  }
}

// k_b of a head as [rank, nope]; for floats also v_b as [rank, value_stride].
void LatentExpansion::decode_head(int worker, int64_t head) {
  const Matrix k = k_b_.slice(head);
  float* k_to = k_weights_ + worker * rank_ * nope_;
  for (int64_t l = 0; l < rank_; ++l) decode_row(k, l, k_to + l * nope_);
  if (codes_) return;
  const Matrix v = v_b_.slice(head);
  float *v_to = v_weights_ + worker * rank_ * value_stride_, *row = transposed_ + worker * std::max<int64_t>(rank_, kKeyTile * kKeyTile);
  std::fill_n(v_to, rank_ * value_stride_, 0.0f);
  for (int64_t i = 0; i < shape_.v_head_dim; ++i) {
    decode_row(v, i, row);
    for (int64_t l = 0; l < rank_; ++l) v_to[l * value_stride_ + i] = row[l];
  }
}

Matrix LatentExpansion::coded_k(int worker) const {
  Matrix matrix;
  matrix.format = QuantFormat::kQ8_0;
  matrix.n_in = rank_;
  matrix.n_out = nope_;
  matrix.row_bytes = quant_row_bytes(QuantFormat::kQ8_0, rank_);
  matrix.matrix_stride = matrix.row_bytes * static_cast<size_t>(nope_);
  matrix.data = coded_weights_ + static_cast<size_t>(worker) * matrix.matrix_stride;
  return matrix;
}

// [rank, nope] floats -> rows of rank codes: the orientation the expansion multiplies with.
void LatentExpansion::transpose_to_codes(int worker) {
  const Matrix matrix = coded_k(worker);
  const float* weights = k_weights_ + worker * rank_ * nope_;
  float* row = transposed_ + worker * std::max<int64_t>(rank_, kKeyTile * kKeyTile);
  ActivationBlock* rounded = rounded_ + worker * activation_blocks(rank_);
  for (int64_t j = 0; j < nope_; ++j) {
    for (int64_t l = 0; l < rank_; ++l) row[l] = weights[l * nope_ + j];
    ops_.quantize_groups(row, rank_, 0, rank_ / 32, rounded);
    auto* blocks = reinterpret_cast<BlockQ8_0*>(const_cast<uint8_t*>(matrix.row(j)));
    for (int64_t g = 0; g < rank_ / 32; ++g) {
      blocks[g].d = f32_to_f16(rounded[g / 8].scales[g % 8]);
      std::memcpy(blocks[g].qs, rounded[g / 8].codes + g % 8 * 32, 32);
    }
  }
}

void LatentExpansion::expand_codes(int worker, const Span& span, float* keys, float* values) {
  const Matrix k = coded_k(worker), v = v_b_.slice(span.head);
  float *c = products_ + worker * kSpanColumns * kTileRows, *turned = transposed_ + worker * std::max<int64_t>(rank_, kKeyTile * kKeyTile);
  const int64_t first = span.first_tile * kKeyTile, n = (span.end_tile - span.first_tile) * kKeyTile;
  for (int64_t row = 0; row < nope_; row += kTileRows) {
    const int64_t n_rows = std::min(kTileRows, nope_ - row);
    multiply_rows(ops_, context_, k, {row, n_rows}, latents_, first, n, nullptr, buffers_.of_worker(worker), c);
    for (int64_t i = 0; i < n; i += kKeyTile) {
      ops_.transpose_keys(c + i * kTileRows, kTileRows, kTileRows, turned);
      std::copy_n(turned, n_rows * kKeyTile, keys + i / kKeyTile * key_dim_ * kKeyTile + row * kKeyTile);
    }
  }
  for (int64_t row = 0; row < shape_.v_head_dim; row += kTileRows) {
    const int64_t n_rows = std::min(kTileRows, shape_.v_head_dim - row);
    multiply_rows(ops_, context_, v, {row, n_rows}, latents_, first, n, nullptr, buffers_.of_worker(worker), c);
    for (int64_t i = 0; i < n; ++i) {
      float* to = values + i * value_stride_ + row;
      std::copy_n(c + i * kTileRows, n_rows, to);
      std::fill(to + n_rows, to + kTileRows, 0.0f);
    }
  }
}

void LatentExpansion::expand_floats(int worker, const Span& span, float* keys, float* values) {
  const float *k = k_weights_ + worker * rank_ * nope_, *v = v_weights_ + worker * rank_ * value_stride_;
  for (int64_t tile = span.first_tile; tile < span.end_tile; ++tile, keys += key_dim_ * kKeyTile, values += value_stride_ * kKeyTile) {
    const float *latents = latent_columns(tile), *rows = latent_rows(tile);
    for_column_groups(nope_, [&](int64_t j, int64_t n) {
      ops_.multiply_panel({latents, kKeyTile, rank_, k + j, nope_, 1, static_cast<int>(n), keys + j * kKeyTile, kKeyTile, false});
    });
    for (int64_t d = 0; d < value_stride_; d += kKeyTile)
      for_column_groups(kKeyTile, [&](int64_t key, int64_t n) {
        ops_.multiply_panel({v + d, value_stride_, rank_, rows + key * row_stride_, 1, row_stride_, static_cast<int>(n),
                             values + key * value_stride_ + d, value_stride_, false});
      });
  }
}

void LatentExpansion::copy_rope(const Span& span, float* keys) const {
  for (int64_t tile = span.first_tile; tile < span.end_tile; ++tile, keys += key_dim_ * kKeyTile)
    std::copy_n(latent_columns(tile) + rank_ * kKeyTile, shape_.qk_rope_head_dim * kKeyTile, keys + nope_ * kKeyTile);
}

}  // namespace moebius::cpu
