// MLA's cache: one row [c_kv | k_rope] per position and layer, kv_lora_rank +
// qk_rope_head_dim elements. The values are a view of the row's first part, so there is no
// second array (DeepSeek-V2, arXiv 2405.04434, section 2.1).
#pragma once

#include "cache/sequence_cache.h"

namespace moebius {

class LatentCache final : public SequenceCache {
 public:
  LatentCache(CacheFormat format, int64_t n_layers, int64_t kv_lora_rank, int64_t qk_rope_head_dim,
              int64_t max_seq_len);

  const char* layout() const override { return "latent:c_kv,k_rope"; }
  CacheFormat format() const override { return format_; }
  int64_t max_seq_len() const override { return max_seq_len_; }
  int64_t n_layers() const override { return static_cast<int64_t>(rows_.size()); }
  std::vector<CacheRows*> arrays() override;
  void rotate_keys(OpContext& op, int64_t layer, int64_t begin, int64_t end, int64_t delta,
                   const RopeFrequencies& frequencies, RopePairing pairing) override;

  CacheRows& rows(int64_t layer) { return rows_[static_cast<size_t>(layer)]; }

 private:
  CacheFormat format_;
  int64_t kv_lora_rank_, max_seq_len_;
  std::vector<CacheRows> rows_;  // [n_layers]
};

}  // namespace moebius
