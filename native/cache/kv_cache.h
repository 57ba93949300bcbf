// The cache of MHA and GQA: per layer one array of key rows [n_kv_heads * key_dim], rotated
// already, and one of value rows [n_kv_heads * value_dim].
#pragma once

#include "cache/sequence_cache.h"

namespace moebius {

class KvCache final : public SequenceCache {
 public:
  struct LayerShape {
    int64_t n_kv_heads = 0, key_dim = 0, value_dim = 0;
  };
  KvCache(CacheFormat format, const std::vector<LayerShape>& layers, int64_t max_seq_len);

  const char* layout() const override { return "kv:keys,values"; }
  CacheFormat format() const override { return format_; }
  int64_t max_seq_len() const override { return max_seq_len_; }
  int64_t n_layers() const override { return static_cast<int64_t>(layers_.size()); }
  std::vector<CacheRows*> arrays() override;
  void rotate_keys(OpContext& op, int64_t layer, int64_t begin, int64_t end, int64_t delta,
                   const RopeFrequencies& frequencies, RopePairing pairing) override;

  CacheRows& keys(int64_t layer) { return layers_[static_cast<size_t>(layer)].keys; }
  CacheRows& values(int64_t layer) { return layers_[static_cast<size_t>(layer)].values; }

 private:
  struct Layer {
    CacheRows keys, values;
    int64_t key_dim;
  };
  CacheFormat format_;
  int64_t max_seq_len_;
  std::vector<Layer> layers_;
};

}  // namespace moebius
