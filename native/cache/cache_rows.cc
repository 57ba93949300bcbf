#include "cache/cache_rows.h"

#include <cstring>

#include "base/error.h"

namespace moebius {

namespace {

size_t bytes_for(CacheFormat format, int64_t n, int64_t head_dim, int64_t max_rows) {
  constexpr int64_t kQuantBlock = 32;
  if (format == CacheFormat::kQ8_0 && (n % kQuantBlock != 0 || head_dim % kQuantBlock != 0))
    throw Error(ErrorCode::kUnsupported,
                format_text("a q8_0 cache needs heads in units of 32 elements, this model has %lld",
                            static_cast<long long>(head_dim)),
                "Choose an f16 cache.");
  return cache_row_bytes(format, n) * static_cast<size_t>(max_rows);
}

}  // namespace

CacheRows::CacheRows(CacheFormat format, int64_t n, int64_t head_dim, int64_t max_rows)
    : buffer_(bytes_for(format, n, head_dim, max_rows)),
      format_(format),
      n_(n),
      max_rows_(max_rows),
      row_bytes_(cache_row_bytes(format, n)) {}

void CacheRows::store(OpContext& op, int64_t position, const Rows& src) {
  if (position < 0 || position + src.n_rows > max_rows_ || src.n != n_)
    throw Error(
        ErrorCode::kInternal,
        format_text("[cache] expected rows of %lld below position %lld, got %lld rows of %lld at %lld",
                    static_cast<long long>(n_), static_cast<long long>(max_rows_),
                    static_cast<long long>(src.n_rows), static_cast<long long>(src.n),
                    static_cast<long long>(position)));
  store_cache_rows(op, src, format_, row(position), row_bytes_);
}

void CacheRows::copy_from(const CacheRows& other, int64_t n_rows) {
  if (other.format_ != format_ || other.n_ != n_ || n_rows > max_rows_ || n_rows > other.max_rows_)
    throw Error(ErrorCode::kInternal, "[cache] expected caches of one shape and format");
  if (n_rows > 0) std::memcpy(row(0), other.row(0), static_cast<size_t>(n_rows) * row_bytes_);
}

void CacheRows::move_down(int64_t begin, int64_t end, int64_t to) {
  if (begin < end) std::memmove(row(to), row(begin), static_cast<size_t>(end - begin) * row_bytes_);
}

void CacheRows::rotate(OpContext& op, int64_t begin, int64_t head_dim, int64_t offset,
                       const RopeAngles& angles, RopePairing pairing) {
  const Scratch::Mark mark = op.kernel.scratch->mark();
  const Rows rows = op.rows(angles.n_tokens, n_);
  load_cache_rows(op, row(begin), row_bytes_, format_, rows);
  rope(op, rows, head_dim, offset, angles, pairing);
  store_cache_rows(op, rows, format_, row(begin), row_bytes_);
  op.kernel.scratch->release(mark);
}

}  // namespace moebius
