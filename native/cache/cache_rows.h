// One array of cache rows of one layer: row p belongs to position p. The address space of
// all rows is reserved at creation; memory is committed when a row is first written. Rows
// hold no knowledge of how many of them are in use: the owner counts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/page_buffer.h"
#include "ops/ops.h"

namespace moebius {

class CacheRows {
 public:
  CacheRows() = default;
  // max_rows rows of n elements. Throws Error(kMemory), or Error(kUnsupported) when the
  // format cannot hold rows of n elements in units of head_dim.
  CacheRows(CacheFormat format, int64_t n, int64_t head_dim, int64_t max_rows);

  CacheFormat format() const { return format_; }
  int64_t n() const { return n_; }
  size_t row_bytes() const { return row_bytes_; }
  int64_t max_rows() const { return max_rows_; }
  const void* data() const { return buffer_.data(); }
  uint8_t* row(int64_t position) const {
    return buffer_.as<uint8_t>() + static_cast<size_t>(position) * row_bytes_;
  }

  // Writes src at [position, position + src.n_rows).
  void store(OpContext& op, int64_t position, const Rows& src);
  // Copies rows [0, n_rows) of another array of the same shape and format.
  void copy_from(const CacheRows& other, int64_t n_rows);
  // Moves rows [begin, end) down to start at `to` (to <= begin).
  void move_down(int64_t begin, int64_t end, int64_t to);
  // Rotates elements [offset, offset + angles.n_rot) of every head of rows [begin, ...) by
  // the angles, one per row.
  void rotate(OpContext& op, int64_t begin, int64_t head_dim, int64_t offset, const RopeAngles& angles,
              RopePairing pairing);

 private:
  PageBuffer buffer_;
  CacheFormat format_ = CacheFormat::kF16;
  int64_t n_ = 0;
  int64_t max_rows_ = 0;
  size_t row_bytes_ = 0;
};

}  // namespace moebius
