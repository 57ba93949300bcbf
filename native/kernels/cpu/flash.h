// The flash loop shared by all attention kernels: a block of query columns against tiles of
// 32 keys, with a running maximum and sum. A column's arithmetic depends on its own keys
// only (tiles start at multiples of 32), so rows are independent of their batch.
#pragma once

#include "kernels/cpu/step.h"

namespace moebius::cpu {

constexpr int kPanelColumns = 6;
constexpr int64_t kNoWindow = 0;

struct AttentionRule {
  float scale = 0;
  float softcap = 0;
  int64_t window = kNoWindow;  // keys with position - key < window are seen; 0 = all
};

// Result of one column over a part of its keys.
struct PartialResult {
  SoftmaxState* state;
  float* out;  // [value_dim]
};

// Up to max_columns queries of one job and their running results.
struct QueryColumns {
  int64_t n = 0;
  int64_t key_dim = 0, value_stride = 0;  // value_stride: value_dim rounded up to 32
  float* q = nullptr;             // [n, key_dim]
  int64_t* positions = nullptr;   // [n]
  SoftmaxState* states = nullptr; // [n]
  float* out = nullptr;           // [n, value_stride]
  float* scores = nullptr;        // [n (at least 6), 32]
  // In bfloat16, where that is asked for: the queries [n, q16_stride] (zero behind key_dim) and
  // the weights [6, 32] of the columns in hand.
  int64_t q16_stride = 0;
  uint16_t* q16 = nullptr;
  uint16_t* weights16 = nullptr;

  static QueryColumns take(StepScratch&, int64_t max_columns, int64_t key_dim, int64_t value_dim, bool in_bf16);
  bool in_bf16() const { return q16 != nullptr; }
  PartialResult result(int64_t i) const { return {states + i, out + i * value_stride}; }
  void round_queries(const LevelOps&);
  void reset();
};

// Elements [offset, offset + n) of a sequence's cache rows 0 .. end_key - 1.
struct CacheRows {
  const uint8_t* data = nullptr;
  size_t row_bytes = 0;
  int64_t row_elements = 0;
  CacheFormat format = CacheFormat::kF32;
  int64_t offset = 0, n = 0;
  int64_t end_key = 0;
};

// Cache rows that will be needed soon.
struct UpcomingTile {
  const CacheRows* keys = nullptr;
  const CacheRows* values = nullptr;
  int64_t tile = 0;
};

// Keys of one tile as [key_dim, 32] and values as [32, stride]; for columns in bfloat16 as pairs,
// [(key_dim + 1) / 2, 32, 2] and [16, stride, 2].
struct KeyTileView {
  const float* keys = nullptr;
  const float* values = nullptr;
  const uint16_t* key_pairs = nullptr;
  const uint16_t* value_pairs = nullptr;
  int64_t value_row_stride = 0;
  UpcomingTile next;  // fetched on the way
};

// Adds the keys of tile `tile` (32 tile .. 32 tile + 31) to all columns.
void attend_tile(const LevelOps&, const AttentionRule&, int64_t tile, const KeyTileView&, QueryColumns&);

// The same in decode, straight on the cache rows: all columns have one position. Needs
// can_attend_rows() of both; elements of a value row beyond values.n are not touched.
bool can_attend_rows(const LevelOps&, const CacheRows& keys, const CacheRows& values);
void attend_rows(const LevelOps&, const AttentionRule&, int64_t tile, const CacheRows& keys, const CacheRows& values, QueryColumns&);

// First and end tile any of the columns sees.
int64_t first_tile(const AttentionRule&, int64_t lowest_position);
inline int64_t end_tile(int64_t highest_position) { return highest_position / kKeyTile + 1; }

// sum = the result over the keys of both.
void add_part(const LevelOps& ops, const PartialResult& sum, const PartialResult& part, int64_t value_dim);
// out[value_dim] = the softmax-weighted values, with an optional sink logit in the maximum and
// the denominator.
void finish_column(const LevelOps& ops, const PartialResult& result, const float* sink, int64_t value_dim, float* out);

// Keys of one tile as [32, stride] with stride >= n, keys from end_key on and elements beyond
// n zero; buffer: [row_elements] floats.
void load_key_rows(const LevelOps&, const CacheRows&, int64_t tile, int64_t stride, float* buffer, float* out);
// As [round_up(n, 32), 32]; rows: [32, round_up(n, 32)] floats for what has to be turned in two steps.
void load_key_columns(const LevelOps&, const CacheRows&, int64_t tile, float* buffer, float* rows, float* out);
// Whether attention of this call computes in bfloat16. Not in decode: few queries would not pay
// for turning the cache rows into pairs.
inline bool in_bf16(const LevelOps& ops, const KernelContext& context) {
  return context.bf16_attention && !context.exact && context.phase == Phase::kPrefill && ops.bf16.multiply_panel != nullptr;
}

}  // namespace moebius::cpu
