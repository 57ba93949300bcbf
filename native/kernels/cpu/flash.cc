#include "kernels/cpu/flash.h"

#include <cmath>

#include "kernels/cache_format.h"

namespace moebius::cpu {

QueryColumns QueryColumns::take(StepScratch& scratch, int64_t max_columns, int64_t key_dim, int64_t value_dim, bool in_bf16) {
  QueryColumns columns;
  columns.key_dim = key_dim;
  columns.value_stride = round_up(value_dim, kKeyTile);
  columns.q = scratch.take<float>(max_columns * key_dim);
  columns.positions = scratch.take<int64_t>(max_columns);
  columns.states = scratch.take<SoftmaxState>(max_columns);
  columns.out = scratch.take<float>(max_columns * columns.value_stride);
  columns.scores = scratch.take<float>(std::max<int64_t>(max_columns, kPanelColumns) * kKeyTile);
  if (!in_bf16) return columns;
  columns.q16_stride = round_up(key_dim, 32);
  columns.q16 = scratch.take<uint16_t>(max_columns * columns.q16_stride);
  columns.weights16 = scratch.take<uint16_t>(kPanelColumns * kKeyTile);
  return columns;
}

void QueryColumns::round_queries(const LevelOps& ops) {
  for (int64_t i = 0; in_bf16() && i < n; ++i) ops.bf16.round_row(q + i * key_dim, key_dim, q16 + i * q16_stride);
}

void QueryColumns::reset() {
  std::fill_n(states, n, SoftmaxState{});
  std::fill_n(out, n * value_stride, 0.0f);
}

int64_t first_tile(const AttentionRule& rule, int64_t lowest_position) {
  if (rule.window == kNoWindow || lowest_position < rule.window) return 0;
  return (lowest_position - rule.window + 1) / kKeyTile;
}

namespace {

struct KeyRange {
  int first, end;  // within the tile
};

KeyRange visible_keys(const AttentionRule& rule, int64_t position, int64_t tile) {
  const int64_t base = tile * kKeyTile;
  const int64_t lowest = rule.window == kNoWindow ? 0 : position - rule.window + 1;
  return {static_cast<int>(std::clamp<int64_t>(lowest - base, 0, kKeyTile)),
          static_cast<int>(std::clamp<int64_t>(position + 1 - base, 0, kKeyTile))};
}

// Bytes of n elements of a row (Q8_0: of whole blocks).
int64_t element_bytes(CacheFormat format, int64_t n) {
  switch (format) {
    case CacheFormat::kF32: return n * 4;
    case CacheFormat::kQ8_0: return n / kCacheBlockElements * static_cast<int64_t>(kCacheBlockBytes);
    default: return n * 2;
  }
}

void fetch_rows(const CacheRows& rows, int64_t tile, int64_t part, int64_t n_parts) {
  const int64_t first = tile * kKeyTile, n_bytes = element_bytes(rows.format, rows.n);
  const int64_t end = std::min(first + kKeyTile * (part + 1) / n_parts, rows.end_key);
  for (int64_t key = first + kKeyTile * part / n_parts; key < end; ++key) {
    const uint8_t* row = rows.data + static_cast<size_t>(key) * rows.row_bytes + element_bytes(rows.format, rows.offset);
    for (int64_t byte = 0; byte < n_bytes; byte += 64) __builtin_prefetch(row + byte, 0, 2);
  }
}

// The rows of the next tile lie a whole row apart each: no hardware stream finds them, and a
// burst of fetches would hold up the loads. So they are asked for between the products.
void fetch_part(const UpcomingTile& next, int64_t part, int64_t n_parts) {
  if (next.keys != nullptr) fetch_rows(*next.keys, next.tile, part, n_parts);
  if (next.values != nullptr) fetch_rows(*next.values, next.tile, part, n_parts);
}

// Scores of `count` columns from `begin` on against the keys of a tile.
void score_tile(const LevelOps& ops, const KeyTileView& view, const QueryColumns& columns, int64_t begin, int count) {
  if (columns.in_bf16())
    ops.bf16.multiply_panel({view.key_pairs, kKeyTile, (columns.key_dim + 1) / 2, columns.q16 + begin * columns.q16_stride,
                             columns.q16_stride, count, columns.scores, kKeyTile, false});
  else
    ops.multiply_panel({view.keys, kKeyTile, columns.key_dim, columns.q + begin * columns.key_dim, 1, columns.key_dim, count,
                        columns.scores, kKeyTile, false});
}

// Elements [d, d + 32) of the values, weighted, into the results of the columns.
void add_tile_values(const LevelOps& ops, const KeyTileView& view, const QueryColumns& columns, int64_t begin, int count, int64_t d) {
  float* out = columns.out + begin * columns.value_stride + d;
  if (columns.in_bf16())
    ops.bf16.multiply_panel({view.value_pairs + 2 * d, view.value_row_stride, kKeyTile / 2, columns.weights16, kKeyTile, count,
                             out, columns.value_stride, true});
  else
    ops.multiply_panel({view.values + d, view.value_row_stride, kKeyTile, columns.scores, 1, kKeyTile, count, out,
                        columns.value_stride, true});
}

}  // namespace

void attend_tile(const LevelOps& ops, const AttentionRule& rule, int64_t tile, const KeyTileView& view,
                 QueryColumns& columns) {
  // Columns are cut evenly: two of four beat one of six and one of two.
  const int64_t n_groups = (columns.n + kPanelColumns - 1) / kPanelColumns, n_parts = n_groups * (1 + columns.value_stride / kKeyTile);
  int64_t part = 0;
  for (int64_t g = 0; g < n_groups; ++g) {
    const int64_t begin = columns.n * g / n_groups, end = columns.n * (g + 1) / n_groups;
    const int count = static_cast<int>(end - begin);
    KeyRange ranges[kPanelColumns];
    bool any = false;
    for (int i = 0; i < count; ++i) {
      ranges[i] = visible_keys(rule, columns.positions[begin + i], tile);
      any = any || ranges[i].first < ranges[i].end;
    }
    if (!any) continue;
    float* scores = columns.scores;
    score_tile(ops, view, columns, begin, count);
    fetch_part(view.next, part++, n_parts);
    for (int i = 0; i < count; ++i) {
      const float correction = ops.softmax_tile(scores + i * kKeyTile, rule.scale, rule.softcap, ranges[i].first,
                                                ranges[i].end, columns.states[begin + i]);
      if (correction != 1.0f) ops.scale_row(columns.out + (begin + i) * columns.value_stride, correction, columns.value_stride);
    }
    for (int i = 0; columns.in_bf16() && i < count; ++i) ops.bf16.round_row(scores + i * kKeyTile, kKeyTile, columns.weights16 + i * kKeyTile);
    for (int64_t d = 0; d < columns.value_stride; d += kKeyTile) {
      add_tile_values(ops, view, columns, begin, count, d);
      fetch_part(view.next, part++, n_parts);
    }
  }
}

void add_part(const LevelOps& ops, const PartialResult& sum, const PartialResult& part, int64_t value_dim) {
  if (!(part.state->sum > 0)) return;
  const float highest = std::max(sum.state->highest, part.state->highest);
  const float own = std::exp(sum.state->highest - highest), other = std::exp(part.state->highest - highest);
  if (own != 1.0f) ops.scale_row(sum.out, own, value_dim);
  ops.add_scaled(sum.out, other, part.out, value_dim);
  sum.state->sum = sum.state->sum * own + part.state->sum * other;
  sum.state->highest = highest;
}

void finish_column(const LevelOps& ops, const PartialResult& result, const float* sink, int64_t value_dim, float* out) {
  const SoftmaxState& state = *result.state;
  std::fill_n(out, value_dim, 0.0f);
  if (!(state.sum > 0)) return;
  const float highest = sink != nullptr ? std::max(*sink, state.highest) : state.highest;
  const float own = std::exp(state.highest - highest), sum = state.sum * own + (sink != nullptr ? std::exp(*sink - highest) : 0.0f);
  ops.add_scaled(out, own / sum, result.out, value_dim);
}

namespace {

bool in_whole_blocks(const CacheRows& rows) { return rows.offset % kKeyTile == 0 && rows.n % kKeyTile == 0; }

CacheTile cache_tile(const CacheRows& rows, int64_t tile) {
  const int64_t first = tile * kKeyTile;
  return {rows.data + static_cast<size_t>(first) * rows.row_bytes, rows.row_bytes,
          static_cast<int>(std::min<int64_t>(kKeyTile, rows.end_key - first)), rows.offset, rows.n, rows.format};
}

}  // namespace

void load_key_rows(const LevelOps& ops, const CacheRows& rows, int64_t tile, int64_t stride, float* buffer, float* out) {
  const CacheTile view = cache_tile(rows, tile);
  if (in_whole_blocks(rows)) {
    ops.load_cache_tile(view, out, stride);
    for (int64_t i = 0; stride > rows.n && i < kKeyTile; ++i) std::fill(out + i * stride + rows.n, out + (i + 1) * stride, 0.0f);
    return;
  }
  for (int64_t i = 0; i < kKeyTile; ++i, out += stride) {
    std::fill_n(out, stride, 0.0f);
    if (i >= view.n_rows) continue;
    load_cache_row(rows.format, view.rows + static_cast<size_t>(i) * rows.row_bytes, rows.row_elements, buffer);
    std::copy_n(buffer + rows.offset, rows.n, out);
  }
}

void load_key_columns(const LevelOps& ops, const CacheRows& rows, int64_t tile, float* buffer, float* row_tile, float* out) {
  if (in_whole_blocks(rows)) {
      ops.load_cache_tile_transposed(cache_tile(rows, tile), out);
    return;
  }
  const int64_t stride = round_up(rows.n, kKeyTile);
  load_key_rows(ops, rows, tile, stride, buffer, row_tile);
  ops.transpose_keys(row_tile, stride, stride, out);
}

bool can_attend_rows(const LevelOps& ops, const CacheRows& keys, const CacheRows& values) {
  return ops.score_keys != nullptr && in_whole_blocks(keys) && in_whole_blocks(values);
}

void attend_rows(const LevelOps& ops, const AttentionRule& rule, int64_t tile, const CacheRows& keys, const CacheRows& values,
                 QueryColumns& columns) {
  const KeyRange range = visible_keys(rule, columns.positions[0], tile);
  if (range.first >= range.end) return;
  const int n = static_cast<int>(columns.n);
  CacheTile key_rows = cache_tile(keys, tile), value_rows = cache_tile(values, tile);
  key_rows.fetch_next = true;
  value_rows.fetch_next = values.data != keys.data;
  // A few keys at a time: they stay in the first cache for all columns.
  constexpr int kRun = 16;
  for (int run = 0; run < kKeyTile; run += kRun) {
    const int first = std::max(range.first, run), end = std::min(range.end, run + kRun);
    if (first < end) ops.score_keys(key_rows, first, end, columns.q, columns.key_dim, n, columns.scores);
  }
  for (int c = 0; c < n; ++c) {
    const float correction = ops.softmax_tile(columns.scores + c * kKeyTile, rule.scale, rule.softcap, range.first, range.end, columns.states[c]);
    if (correction != 1.0f) ops.scale_row(columns.out + c * columns.value_stride, correction, columns.value_stride);
  }
  ops.add_values(value_rows, range.first, range.end, columns.scores, n, columns.out, columns.value_stride);
}

}  // namespace moebius::cpu
