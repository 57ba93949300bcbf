#include "cache/kv_cache.h"

namespace moebius {

KvCache::KvCache(CacheFormat format, const std::vector<LayerShape>& layers, int64_t max_seq_len)
    : format_(format), max_seq_len_(max_seq_len) {
  for (const LayerShape& shape : layers)
    layers_.push_back({CacheRows(format, shape.n_kv_heads * shape.key_dim, shape.key_dim, max_seq_len),
                       CacheRows(format, shape.n_kv_heads * shape.value_dim, shape.value_dim, max_seq_len),
                       shape.key_dim});
}

std::vector<CacheRows*> KvCache::arrays() {
  std::vector<CacheRows*> all;
  for (Layer& layer : layers_) {
    all.push_back(&layer.keys);
    all.push_back(&layer.values);
  }
  return all;
}

void KvCache::rotate_keys(OpContext& op, int64_t layer, int64_t begin, int64_t end, int64_t delta,
                          const RopeFrequencies& frequencies, RopePairing pairing) {
  const Scratch::Mark mark = op.kernel.scratch->mark();
  const RopeAngles angles = shift_angles(op, frequencies, end - begin, delta);
  keys(layer).rotate(op, begin, layers_[static_cast<size_t>(layer)].key_dim, /*offset=*/0, angles, pairing);
  op.kernel.scratch->release(mark);
}

}  // namespace moebius
