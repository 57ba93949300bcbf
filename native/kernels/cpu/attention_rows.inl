// Decode attention straight on the cache rows: each is converted in registers and met by all
// heads of a job, nothing is transposed or stored. Part of attention.inl. A head's arithmetic
// does not depend on the heads beside it.

namespace moebius::cpu {
namespace {

// Sums that fit the registers: four keys times kScoreColumns heads, kValueVectors vectors of
// values times kValueColumns heads.
constexpr int kScoreKeys = 4;
constexpr int kScoreColumns = Simd::kRegisters == 32 ? 6 : 2;
constexpr int kValueVectors = Simd::kRegisters == 32 ? 4 : 2, kValueColumns = Simd::kRegisters == 32 ? 6 : 4;

// out[i] = the sum of v[i].
template <typename Vocabulary>
inline void store_four_sums(float* out, const typename Vocabulary::F* v) {
  if constexpr (requires { Vocabulary::store_sums4(out, v[0], v[1], v[2], v[3]); }) {
    Vocabulary::store_sums4(out, v[0], v[1], v[2], v[3]);
  } else {
    for (int i = 0; i < 4; ++i) out[i] = Vocabulary::sum(v[i]);
  }
}

// Cache rows that are read soon. They are a whole row apart, so that no hardware stream finds
// them, and asking for many at once would hold up the loads: a line goes between the products.
struct RowsAhead {
  const uint8_t* first = nullptr;
  size_t row_bytes = 0;
  int n = 0;

  template <typename Row>
  void fetch(int64_t element) const {
    for (int r = 0; r < n; ++r)
      for (int byte = 0; byte < Row::kBytes32; byte += 64)
        __builtin_prefetch(first + static_cast<size_t>(r) * row_bytes + element / 32 * Row::kBytes32 + byte, /*write=*/0, /*locality=*/2);
  }
};

template <typename Row, int kColumns>
inline void score_four_keys(const uint8_t* const* rows, int64_t offset, int64_t n, const float* q, int64_t q_stride, const RowsAhead& ahead, float* scores) {
  Simd::F sums[kColumns][kScoreKeys];
#pragma GCC unroll 6
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
    for (int k = 0; k < kScoreKeys; ++k) sums[c][k] = Simd::zero();
  for (int64_t begin = 0; begin < n; begin += 32) {
    ahead.fetch<Row>(offset + begin);
#pragma GCC unroll 2
    for (int64_t i = begin; i < begin + 32; i += kLanes) {
      Simd::F keys[kScoreKeys];
#pragma GCC unroll 4
      for (int k = 0; k < kScoreKeys; ++k) keys[k] = Row::load(rows[k], offset + i);
#pragma GCC unroll 6
      for (int c = 0; c < kColumns; ++c) {
        const Simd::F value = Simd::load(q + c * q_stride + i);
#pragma GCC unroll 4
        for (int k = 0; k < kScoreKeys; ++k) sums[c][k] = Simd::fma(keys[k], value, sums[c][k]);
      }
    }
  }
#pragma GCC unroll 6
  for (int c = 0; c < kColumns; ++c) store_four_sums<Simd>(scores + c * kKeyTile, sums[c]);
}

// One of n_groups groups of columns; each fetches its share of the keys that come kFetchKeys
// later.
struct ColumnGroup {
  int index, n_groups;
};

template <typename Row, int kColumns>
void score_columns(const CacheTile& tile, int first, int end, ColumnGroup group, const float* q, int64_t q_stride, float* scores) {
  constexpr int kFetchKeys = 16;
  const int fetch_first = kScoreKeys * group.index / group.n_groups, fetch_end = kScoreKeys * (group.index + 1) / group.n_groups;
  for (int key = first / kScoreKeys * kScoreKeys; key < end; key += kScoreKeys) {
    const uint8_t* rows[kScoreKeys];
    // Keys that are missing repeat the last one; nobody reads their scores.
    for (int k = 0; k < kScoreKeys; ++k) rows[k] = tile.rows + static_cast<size_t>(key + k < end ? key + k : end - 1) * tile.row_bytes;
    const RowsAhead ahead{tile.rows + static_cast<size_t>(key + kFetchKeys + fetch_first) * tile.row_bytes, tile.row_bytes,
                          tile.fetch_next ? fetch_end - fetch_first : 0};
    score_four_keys<Row, kColumns>(rows, tile.offset, tile.n, q, q_stride, ahead, scores + key);
  }
}

// The columns in as few groups of at most kMost as possible, cut evenly: two of four beat one
// of six and one of two. body<n>(first, group) for each.
template <int kMost, typename Body>
inline void for_column_groups(int n_columns, const Body& body) {
  const int n_groups = (n_columns + kMost - 1) / kMost;
  for (int g = 0; g < n_groups; ++g) {
    const int first = n_columns * g / n_groups, count = n_columns * (g + 1) / n_groups - first;
    const ColumnGroup group{g, n_groups};
    switch (count) {
      case 1: body.template operator()<1>(first, group); break;
      case 2: body.template operator()<2>(first, group); break;
      case 3: body.template operator()<std::min(3, kMost)>(first, group); break;
      case 4: body.template operator()<std::min(4, kMost)>(first, group); break;
      case 5: body.template operator()<std::min(5, kMost)>(first, group); break;
      default: body.template operator()<kMost>(first, group); break;
    }
  }
}

template <typename Row>
void score_rows(const CacheTile& tile, int first, int end, const float* q, int64_t q_stride, int n_columns, float* scores) {
  for_column_groups<kScoreColumns>(n_columns, [&]<int kColumns>(int c, ColumnGroup group) {
    score_columns<Row, kColumns>(tile, first, end, group, q + c * q_stride, q_stride, scores + c * kKeyTile);
  });
}

template <typename Row, int kVectors, int kColumns>
inline void add_value_block(const CacheTile& tile, int first, int end, int64_t offset, bool fetch, const float* weights, float* out, int64_t out_stride) {
  Simd::F sums[kColumns][kVectors];
#pragma GCC unroll 6
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[c][v] = Simd::load(out + c * out_stride + v * kLanes);
  const uint8_t* row = tile.rows + static_cast<size_t>(first) * tile.row_bytes;
  for (int key = first; key < end; ++key, row += tile.row_bytes) {
    for (int64_t i = 0; fetch && i < kVectors * kLanes; i += 32) RowsAhead{row + kKeyTile * tile.row_bytes, 0, 1}.template fetch<Row>(offset + i);
    Simd::F values[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) values[v] = Row::load(row, offset + v * kLanes);
#pragma GCC unroll 6
    for (int c = 0; c < kColumns; ++c) {
      const Simd::F weight = Simd::set1(weights[c * kKeyTile + key]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[c][v] = Simd::fma(values[v], weight, sums[c][v]);
    }
  }
#pragma GCC unroll 6
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Simd::store(out + c * out_stride + v * kLanes, sums[c][v]);
}

template <typename Row, int kColumns>
void add_value_columns(const CacheTile& tile, int first, int end, bool fetch, const float* weights, float* out, int64_t out_stride) {
  constexpr int64_t kStep = kValueVectors * kLanes;
  int64_t d = 0;
  for (; d + kStep <= tile.n; d += kStep)
    add_value_block<Row, kValueVectors, kColumns>(tile, first, end, tile.offset + d, fetch, weights, out + d, out_stride);
  for (; d < tile.n; d += kLanes) add_value_block<Row, 1, kColumns>(tile, first, end, tile.offset + d, fetch, weights, out + d, out_stride);
}

template <typename Row>
void add_value_rows(const CacheTile& tile, int first, int end, const float* weights, int n_columns, float* out, int64_t out_stride) {
  for_column_groups<kValueColumns>(n_columns, [&]<int kColumns>(int c, ColumnGroup group) {
    add_value_columns<Row, kColumns>(tile, first, end, tile.fetch_next && group.index == 0, weights + c * kKeyTile, out + c * out_stride, out_stride);
  });
}

void score_keys(const CacheTile& tile, int first, int end, const float* q, int64_t q_stride, int n_columns, float* scores) {
  switch (tile.format) {
    case CacheFormat::kF32: return score_rows<F32CacheRow>(tile, first, end, q, q_stride, n_columns, scores);
    case CacheFormat::kF16: return score_rows<F16CacheRow>(tile, first, end, q, q_stride, n_columns, scores);
    case CacheFormat::kBF16: return score_rows<Bf16CacheRow>(tile, first, end, q, q_stride, n_columns, scores);
    case CacheFormat::kQ8_0: return score_rows<Q8CacheRow>(tile, first, end, q, q_stride, n_columns, scores);
  }
}

void add_values(const CacheTile& tile, int first, int end, const float* weights, int n_columns, float* out, int64_t out_stride) {
  switch (tile.format) {
    case CacheFormat::kF32: return add_value_rows<F32CacheRow>(tile, first, end, weights, n_columns, out, out_stride);
    case CacheFormat::kF16: return add_value_rows<F16CacheRow>(tile, first, end, weights, n_columns, out, out_stride);
    case CacheFormat::kBF16: return add_value_rows<Bf16CacheRow>(tile, first, end, weights, n_columns, out, out_stride);
    case CacheFormat::kQ8_0: return add_value_rows<Q8CacheRow>(tile, first, end, weights, n_columns, out, out_stride);
  }
}

}  // namespace
}  // namespace moebius::cpu
