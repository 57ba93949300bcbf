// Grouped-query attention and absorbed MLA. Decode splits the keys at fixed positions so
// that few heads still fill all cores; prefill takes blocks of rows without a split.
#include <utility>

#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/flash.h"
#include "kernels/cpu/split_tree.h"

namespace moebius::cpu {

namespace {

constexpr int64_t kDecodeHeads = 16, kFewestHeads = 4;  // heads of one decode job
constexpr int64_t kPrefillColumns = 96;

// Key tiles of decode job s: [split_begin(s), split_begin(s + 1)). Short where few keys must
// fill all cores, longer further out so that the partial results stay small. A function of
// the position alone: a row is cut the same way in every batch.
constexpr int64_t kShortSplits = 32, kShortTiles = 4, kMiddleSplits = 56, kMiddleTiles = 16, kLongTiles = 64;
constexpr int64_t split_begin(int64_t s) {
  if (s <= kShortSplits) return s * kShortTiles;
  const int64_t middle = std::min(s - kShortSplits, kMiddleSplits), rest = s - kShortSplits - middle;
  return kShortSplits * kShortTiles + middle * kMiddleTiles + rest * kLongTiles;
}
constexpr int64_t split_count(int64_t n_keys) {
  const int64_t n_tiles = (n_keys + kKeyTile - 1) / kKeyTile;
  int64_t s = 1;
  while (split_begin(s) < n_tiles) ++s;
  return s;
}

// Heads that share keys and values: a kv head of GQA, or all heads of absorbed MLA.
struct SharedHeads {
  int64_t n_kv_heads = 1, heads_per_kv = 1;
  int64_t key_dim = 0, value_dim = 0;
  AttentionRule rule;
  const float* sinks = nullptr;
  CacheRows keys, values;   // data set per span
  bool values_in_keys = false;  // values are the first value_dim elements of the keys
};

// One job: columns (row r, head h) for r in [row, row + n_rows), h in [head, head + n_heads)
// against tiles [tile_begin, tile_end).
struct Job {
  const AttentionSpan* span;
  int64_t row, n_rows, kv_head, head, n_heads;
};

struct WorkerBuffers {
  QueryColumns columns;
  int64_t loaded = -1;  // the job whose queries they are
  float *rows, *keys, *values, *row_buffer;
  uint16_t *key_pairs, *value_pairs;  // in bfloat16, instead of keys and values
};

class SharedHeadAttention {
 public:
  SharedHeadAttention(const LevelOps& ops, KernelContext& context, const SharedHeads& shape)
      : ops_(ops), context_(context), scratch_(context), shape_(shape) {
    most_heads_ = std::min(shape.heads_per_kv, context.phase == Phase::kDecode ? kDecodeHeads : kPrefillColumns);
    rows_per_job_ = context.phase == Phase::kDecode ? 1 : std::max<int64_t>(1, kPrefillColumns / most_heads_);
    key_stride_ = round_up(shape.key_dim, 32);
    value_stride_ = round_up(shape.value_dim, 32);
    in_bf16_ = in_bf16(ops, context);
    buffers_ = scratch_.take<WorkerBuffers>(worker_count(context));
    for (int w = 0; w < worker_count(context); ++w) {
      buffers_[w].columns = QueryColumns::take(scratch_, most_heads_ * rows_per_job_, shape.key_dim, shape.value_dim, in_bf16_);
      buffers_[w].rows = scratch_.take<float>(key_stride_ * kKeyTile);
      buffers_[w].keys = scratch_.take<float>(key_stride_ * kKeyTile);
      buffers_[w].values = shape.values_in_keys ? nullptr : scratch_.take<float>(value_stride_ * kKeyTile);
      buffers_[w].row_buffer = scratch_.take<float>(std::max(shape.keys.row_elements, shape.values.row_elements));
      buffers_[w].key_pairs = in_bf16_ ? scratch_.take<uint16_t>(key_stride_ * kKeyTile) : nullptr;
      buffers_[w].value_pairs = in_bf16_ ? scratch_.take<uint16_t>(value_stride_ * kKeyTile) : nullptr;
    }
  }

  // fetch(row, head, q) copies a query; out [n_tokens, n_heads, value_dim].
  template <typename Fetch>
  void run(const AttentionSpan& span, const Fetch& fetch, float* out) {
    shape_.keys.data = static_cast<const uint8_t*>(span.key_rows);
    shape_.values.data = static_cast<const uint8_t*>(span.value_rows);
    const bool split = context_.phase == Phase::kDecode;
    const int64_t n_splits = split ? split_count(span.n_past + span.n_rows) : 1;
    heads_per_job_ = heads_of_a_job(span.n_rows * n_splits);
    const int64_t head_jobs = (shape_.heads_per_kv + heads_per_job_ - 1) / heads_per_job_;
    const int64_t row_jobs = (span.n_rows + rows_per_job_ - 1) / rows_per_job_, per_row = shape_.n_kv_heads * head_jobs;
    const int64_t n_jobs = row_jobs * per_row;
    for (int w = 0; w < worker_count(context_); ++w) buffers_[w].loaded = -1;
    const Parts parts = take_parts(n_splits > 1 ? n_jobs : 0, n_splits);
    // Longest rows first: the last ones see the most keys.
    for_chunks(context_, n_jobs * n_splits, 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t i = begin; i < end; ++i) {
        // Splits one after the other, all heads of each: neighbouring heads share cache lines
        // and pages.
        const int64_t index = n_jobs - 1 - i % n_jobs, s = i / n_jobs;
        const Job job = job_at(span, index, head_jobs, per_row);
        WorkerBuffers& buffers = buffers_[worker];
        if (std::exchange(buffers.loaded, index) != index) load_queries(job, fetch, buffers.columns);
        if (n_splits == 1) {
          buffers.columns.reset();
          attend(job, 0, end_tile(span.n_past + job.row + job.n_rows - 1), buffers, buffers.columns);
          finish(job, buffers.columns, out);
        } else {
          QueryColumns columns = parts.place(index, s, buffers.columns);
          columns.reset();
          attend(job, split_begin(s), split_begin(s + 1), buffers, columns);
          if (add_to_neighbours(parts, index, s, columns)) finish(job, parts.place(index, 0, columns), out);
        }
      }
    });
  }

 private:
  struct Parts {
    SoftmaxState* states;  // [jobs, splits, heads_per_job]
    float* out;            // [jobs, splits, heads_per_job, value_stride]
    SplitTree tree;
    int64_t n_splits, n_columns;
    // The same queries with their results in the place of a split.
    QueryColumns place(int64_t job, int64_t split, QueryColumns columns) const {
      const int64_t column = (job * n_splits + split) * n_columns;
      columns.states = states + column;
      columns.out = out + column * columns.value_stride;
      return columns;
    }
  };

  // Few keys: fewer heads a job, so that all workers have some. A head does not notice.
  int64_t heads_of_a_job(int64_t n_pieces) const {
    int64_t heads = most_heads_;
    if (context_.phase != Phase::kDecode) return heads;
    const auto n_jobs = [&] { return n_pieces * shape_.n_kv_heads * ((shape_.heads_per_kv + heads - 1) / heads); };
    while (heads / 2 >= kFewestHeads && n_jobs() < 2 * worker_count(context_)) heads /= 2;
    return heads;
  }

  Parts take_parts(int64_t n_jobs, int64_t n_splits) {
    const int64_t n = n_jobs * n_splits * heads_per_job_;
    return {scratch_.take<SoftmaxState>(n), scratch_.take<float>(n * value_stride_), SplitTree::take(scratch_, n_jobs, n_splits), n_splits, heads_per_job_};
  }

  // True when all splits of the job are in the first.
  bool add_to_neighbours(const Parts& parts, int64_t job, int64_t split, const QueryColumns& columns) const {
    return parts.tree.finish(job, split, [&](int64_t left, int64_t right) {
      const QueryColumns sum = parts.place(job, left, columns), part = parts.place(job, right, columns);
      for (int64_t i = 0; i < columns.n; ++i) add_part(ops_, sum.result(i), part.result(i), shape_.value_dim);
    });
  }

  Job job_at(const AttentionSpan& span, int64_t index, int64_t head_jobs, int64_t per_row) const {
    const int64_t row = index / per_row * rows_per_job_, kv = index % per_row / head_jobs, part = index % head_jobs;
    const int64_t head = kv * shape_.heads_per_kv + part * heads_per_job_;
    return {&span, row, std::min(rows_per_job_, span.n_rows - row), kv, head,
            std::min(heads_per_job_, (kv + 1) * shape_.heads_per_kv - head)};
  }

  template <typename Fetch>
  void load_queries(const Job& job, const Fetch& fetch, QueryColumns& columns) const {
    columns.n = 0;
    for (int64_t r = job.row; r < job.row + job.n_rows; ++r)
      for (int64_t h = job.head; h < job.head + job.n_heads; ++h) {
        columns.positions[columns.n] = job.span->n_past + r;
        fetch(job.span->first_row + r, h, columns.q + columns.n++ * shape_.key_dim);
      }
    columns.round_queries(ops_);
  }

  void attend(const Job& job, int64_t begin, int64_t end, const WorkerBuffers& buffers, QueryColumns& columns) const {
    const int64_t lowest = job.span->n_past + job.row, highest = lowest + job.n_rows - 1;
    CacheRows keys = shape_.keys, values = shape_.values;
    keys.end_key = values.end_key = job.span->n_past + job.span->n_rows;
    keys.offset = job.kv_head * shape_.key_dim;
    keys.n = shape_.key_dim;
    values.offset = job.kv_head * shape_.value_dim;
    values.n = shape_.value_dim;
    if (shape_.values_in_keys) {
      values = keys;
      values.n = shape_.value_dim;
    }
    const bool by_rows = context_.phase == Phase::kDecode && can_attend_rows(ops_, keys, values);
    for (int64_t tile = std::max(begin, first_tile(shape_.rule, lowest)); tile < std::min(end, end_tile(highest)); ++tile) {
      if (by_rows) {
        attend_rows(ops_, shape_.rule, tile, keys, values, columns);
      } else if (in_bf16_) {
        attend_tile(ops_, shape_.rule, tile, tile_in_pairs(keys, values, tile, buffers), columns);
      } else if (shape_.values_in_keys) {
        load_key_rows(ops_, keys, tile, key_stride_, buffers.row_buffer, buffers.rows);
        ops_.transpose_keys(buffers.rows, key_stride_, key_stride_, buffers.keys);
        attend_tile(ops_, shape_.rule, tile, {buffers.keys, buffers.rows, nullptr, nullptr, key_stride_, {&keys, nullptr, tile + 1}}, columns);
      } else {
        load_key_columns(ops_, keys, tile, buffers.row_buffer, buffers.rows, buffers.keys);
        load_key_rows(ops_, values, tile, value_stride_, buffers.row_buffer, buffers.values);
        attend_tile(ops_, shape_.rule, tile, {buffers.keys, buffers.values, nullptr, nullptr, value_stride_, {&keys, &values, tile + 1}}, columns);
      }
    }
  }

  KeyTileView tile_in_pairs(const CacheRows& keys, const CacheRows& values, int64_t tile, const WorkerBuffers& buffers) const {
    float* value_floats = shape_.values_in_keys ? buffers.rows : buffers.values;
    load_key_columns(ops_, keys, tile, buffers.row_buffer, buffers.rows, buffers.keys);
    ops_.bf16.pair_rows(buffers.keys, kKeyTile, key_stride_, kKeyTile, buffers.key_pairs);
    load_key_rows(ops_, values, tile, value_stride_, buffers.row_buffer, value_floats);
    ops_.bf16.pair_rows(value_floats, value_stride_, kKeyTile, value_stride_, buffers.value_pairs);
    KeyTileView view;
    view.key_pairs = buffers.key_pairs;
    view.value_pairs = buffers.value_pairs;
    view.value_row_stride = value_stride_;
    view.next = {&keys, shape_.values_in_keys ? nullptr : &values, tile + 1};
    return view;
  }

  float* output_row(const AttentionSpan& span, int64_t row, int64_t head, float* out) const {
    return out + ((span.first_row + row) * shape_.n_kv_heads * shape_.heads_per_kv + head) * shape_.value_dim;
  }
  const float* sink_of(int64_t head) const { return shape_.sinks != nullptr ? shape_.sinks + head : nullptr; }

  void finish(const Job& job, const QueryColumns& columns, float* out) const {
    for (int64_t i = 0; i < columns.n; ++i) {
      const int64_t head = job.head + i % job.n_heads;
      finish_column(ops_, columns.result(i), sink_of(head), shape_.value_dim, output_row(*job.span, job.row + i / job.n_heads, head, out));
    }
  }

  const LevelOps& ops_;
  KernelContext& context_;
  StepScratch scratch_;
  SharedHeads shape_;
  int64_t most_heads_ = 0, heads_per_job_ = 0, rows_per_job_ = 0, key_stride_ = 0, value_stride_ = 0;
  bool in_bf16_ = false;
  WorkerBuffers* buffers_ = nullptr;
};

}  // namespace

void gqa_attention(const LevelOps& ops, KernelContext& context, const GqaShape& shape, const float* q,
                   const AttentionSpan* spans, int64_t n_spans, float* out) {
  SharedHeads heads;
  heads.n_kv_heads = shape.n_kv_heads;
  heads.heads_per_kv = shape.n_heads / shape.n_kv_heads;
  heads.key_dim = shape.key_dim;
  heads.value_dim = shape.value_dim;
  heads.rule = {shape.scale, shape.score_softcap, shape.window};
  heads.sinks = shape.sinks;
  heads.keys = {nullptr, shape.key_row_bytes, shape.n_kv_heads * shape.key_dim, shape.cache_format, 0, 0, 0};
  heads.values = {nullptr, shape.value_row_bytes, shape.n_kv_heads * shape.value_dim, shape.cache_format, 0, 0, 0};
  for (int64_t s = 0; s < n_spans; ++s) {
    SharedHeadAttention attention(ops, context, heads);
    attention.run(spans[s], [&](int64_t row, int64_t head, float* to) {
      std::copy_n(q + (row * shape.n_heads + head) * shape.key_dim, shape.key_dim, to);
    }, out);
  }
}

void mla_absorbed_attention(const LevelOps& ops, KernelContext& context, const MlaShape& shape, const float* q_latent,
                            const float* q_rope, const AttentionSpan* spans, int64_t n_spans, float* out_latent) {
  SharedHeads heads;
  heads.heads_per_kv = shape.n_heads;
  heads.key_dim = shape.kv_lora_rank + shape.qk_rope_head_dim;
  heads.value_dim = shape.kv_lora_rank;
  heads.rule = {shape.scale, 0, kNoWindow};
  heads.keys = {nullptr, shape.row_bytes, heads.key_dim, shape.cache_format, 0, 0, 0};
  // A rank that is no multiple of 32 would let the last panel of values reach into k_rope:
  // its surplus columns are computed and dropped.
  heads.values_in_keys = true;
  for (int64_t s = 0; s < n_spans; ++s) {
    SharedHeadAttention attention(ops, context, heads);
    attention.run(spans[s], [&](int64_t row, int64_t head, float* to) {
      const int64_t at = row * shape.n_heads + head;
      std::copy_n(q_latent + at * shape.kv_lora_rank, shape.kv_lora_rank, to);
      std::copy_n(q_rope + at * shape.qk_rope_head_dim, shape.qk_rope_head_dim, to + shape.kv_lora_rank);
    }, out_latent);
  }
}

}  // namespace moebius::cpu
