#include "cache/latent_cache.h"

namespace moebius {

LatentCache::LatentCache(CacheFormat format, int64_t n_layers, int64_t kv_lora_rank, int64_t qk_rope_head_dim,
                         int64_t max_seq_len)
    : format_(format), kv_lora_rank_(kv_lora_rank), max_seq_len_(max_seq_len) {
  const int64_t n = kv_lora_rank + qk_rope_head_dim;
  for (int64_t layer = 0; layer < n_layers; ++layer) rows_.emplace_back(format, n, n, max_seq_len);
}

std::vector<CacheRows*> LatentCache::arrays() {
  std::vector<CacheRows*> all;
  for (CacheRows& rows : rows_) all.push_back(&rows);
  return all;
}

void LatentCache::rotate_keys(OpContext& op, int64_t layer, int64_t begin, int64_t end, int64_t delta,
                              const RopeFrequencies& frequencies, RopePairing pairing) {
  CacheRows& rows = this->rows(layer);
  const Scratch::Mark mark = op.kernel.scratch->mark();
  const RopeAngles angles = shift_angles(op, frequencies, end - begin, delta);
  rows.rotate(op, begin, rows.n(), kv_lora_rank_, angles, pairing);
  op.kernel.scratch->release(mark);
}

}  // namespace moebius
