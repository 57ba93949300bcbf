// What every kind of cache can do for its session, whatever its rows mean: copy a prefix,
// shift positions, list its row arrays for snapshots. One per session; latent_cache (MLA)
// and kv_cache (GQA) are the kinds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cache/cache_rows.h"
#include "ops/rope_table.h"

namespace moebius {

class SequenceCache {
 public:
  virtual ~SequenceCache() = default;
  // "latent" or "kv": part of a snapshot's identity, with the row order spelled out.
  virtual const char* layout() const = 0;
  virtual CacheFormat format() const = 0;
  virtual int64_t max_seq_len() const = 0;
  // Every row array, in a fixed order.
  virtual std::vector<CacheRows*> arrays() = 0;
  // Rotates the keys of positions [begin, end) of one layer by `delta` positions.
  virtual void rotate_keys(OpContext& op, int64_t layer, int64_t begin, int64_t end, int64_t delta,
                           const RopeFrequencies& frequencies, RopePairing pairing) = 0;
  virtual int64_t n_layers() const = 0;

  void copy_from(SequenceCache& other, int64_t n_positions);
  // Rows [begin, end) move down to start at `to`.
  void move_down(int64_t begin, int64_t end, int64_t to);
  uint64_t bytes_for(int64_t n_positions);
};

// Angles for rotating `n` rows by the same number of positions, without magnitude: the
// stored keys have theirs already.
RopeAngles shift_angles(OpContext& op, const RopeFrequencies& frequencies, int64_t n, int64_t delta);

}  // namespace moebius
