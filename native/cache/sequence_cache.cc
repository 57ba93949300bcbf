#include "cache/sequence_cache.h"

#include "base/error.h"

namespace moebius {

void SequenceCache::copy_from(SequenceCache& other, int64_t n_positions) {
  const std::vector<CacheRows*> mine = arrays(), theirs = other.arrays();
  if (mine.size() != theirs.size()) throw Error(ErrorCode::kInternal, "[cache] expected caches of one model");
  for (size_t i = 0; i < mine.size(); ++i) mine[i]->copy_from(*theirs[i], n_positions);
}

void SequenceCache::move_down(int64_t begin, int64_t end, int64_t to) {
  for (CacheRows* rows : arrays()) rows->move_down(begin, end, to);
}

uint64_t SequenceCache::bytes_for(int64_t n_positions) {
  uint64_t bytes = 0;
  for (const CacheRows* rows : arrays()) bytes += rows->row_bytes() * static_cast<uint64_t>(n_positions);
  return bytes;
}

RopeAngles shift_angles(OpContext& op, const RopeFrequencies& frequencies, int64_t n, int64_t delta) {
  const std::vector<int64_t> positions(static_cast<size_t>(n), delta);
  return rope_angles(op, frequencies, positions, /*with_magnitude=*/false);
}

}  // namespace moebius
