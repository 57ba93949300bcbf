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

template <typename Row, int kColumns>
inline void score_four_keys(const uint8_t* const* rows, int64_t offset, int64_t n, const float* q, int64_t q_stride, float* scores) {
  Simd::F sums[kColumns][kScoreKeys];
#pragma GCC unroll 6
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
    for (int k = 0; k < kScoreKeys; ++k) sums[c][k] = Simd::zero();
  for (int64_t i = 0; i < n; i += kLanes) {
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
#pragma GCC unroll 6
  for (int c = 0; c < kColumns; ++c) store_four_sums<Simd>(scores + c * kKeyTile, sums[c]);
}

template <typename Row, int kColumns>
void score_columns(const CacheTile& tile, int first, int end, const float* q, int64_t q_stride, float* scores) {
  for (int key = first / kScoreKeys * kScoreKeys; key < end; key += kScoreKeys) {
    const uint8_t* rows[kScoreKeys];
    // Keys that are missing repeat the last one; nobody reads their scores.
    for (int k = 0; k < kScoreKeys; ++k) rows[k] = tile.rows + static_cast<size_t>(key + k < end ? key + k : end - 1) * tile.row_bytes;
    score_four_keys<Row, kColumns>(rows, tile.offset, tile.n, q, q_stride, scores + key);
  }
}

template <typename Row>
void score_rows(const CacheTile& tile, int first, int end, const float* q, int64_t q_stride, int n_columns, float* scores) {
  for (int c = 0; c < n_columns;) {
    // Cut evenly: two of four beat one of six and one of two.
    const int groups = (n_columns - c + kScoreColumns - 1) / kScoreColumns, count = (n_columns - c + groups - 1) / groups;
    const float* from = q + c * q_stride;
    float* to = scores + c * kKeyTile;
    switch (count) {
      case 1: score_columns<Row, 1>(tile, first, end, from, q_stride, to); break;
      case 2: score_columns<Row, 2>(tile, first, end, from, q_stride, to); break;
      case 3: score_columns<Row, std::min(3, kScoreColumns)>(tile, first, end, from, q_stride, to); break;
      case 4: score_columns<Row, std::min(4, kScoreColumns)>(tile, first, end, from, q_stride, to); break;
      case 5: score_columns<Row, std::min(5, kScoreColumns)>(tile, first, end, from, q_stride, to); break;
      default: score_columns<Row, kScoreColumns>(tile, first, end, from, q_stride, to); break;
    }
    c += count;
  }
}

template <typename Row, int kVectors, int kColumns>
inline void add_value_block(const CacheTile& tile, int first, int end, int64_t offset, const float* weights, float* out, int64_t out_stride) {
  Simd::F sums[kColumns][kVectors];
#pragma GCC unroll 6
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[c][v] = Simd::load(out + c * out_stride + v * kLanes);
  const uint8_t* row = tile.rows + static_cast<size_t>(first) * tile.row_bytes;
  for (int key = first; key < end; ++key, row += tile.row_bytes) {
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
void add_value_columns(const CacheTile& tile, int first, int end, const float* weights, float* out, int64_t out_stride) {
  constexpr int64_t kStep = kValueVectors * kLanes;
  int64_t d = 0;
  for (; d + kStep <= tile.n; d += kStep)
    add_value_block<Row, kValueVectors, kColumns>(tile, first, end, tile.offset + d, weights, out + d, out_stride);
  for (; d < tile.n; d += kLanes) add_value_block<Row, 1, kColumns>(tile, first, end, tile.offset + d, weights, out + d, out_stride);
}

template <typename Row>
void add_value_rows(const CacheTile& tile, int first, int end, const float* weights, int n_columns, float* out, int64_t out_stride) {
  for (int c = 0; c < n_columns;) {
    const int groups = (n_columns - c + kValueColumns - 1) / kValueColumns, count = (n_columns - c + groups - 1) / groups;
    const float* from = weights + c * kKeyTile;
    float* to = out + c * out_stride;
    switch (count) {
      case 1: add_value_columns<Row, 1>(tile, first, end, from, to, out_stride); break;
      case 2: add_value_columns<Row, 2>(tile, first, end, from, to, out_stride); break;
      case 3: add_value_columns<Row, 3>(tile, first, end, from, to, out_stride); break;
      case 4: add_value_columns<Row, 4>(tile, first, end, from, to, out_stride); break;
      case 5: add_value_columns<Row, std::min(5, kValueColumns)>(tile, first, end, from, to, out_stride); break;
      default: add_value_columns<Row, kValueColumns>(tile, first, end, from, to, out_stride); break;
    }
    c += count;
  }
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
