#include <algorithm>

#include "base/error.h"
#include "engine/model_info.h"

namespace moebius {

namespace {

struct FormatName {
  const char* name;
  CacheFormat format;
};
constexpr FormatName kFormatNames[] = {{"f32", CacheFormat::kF32},
                                       {"f16", CacheFormat::kF16},
                                       {"bf16", CacheFormat::kBF16},
                                       {"q8_0", CacheFormat::kQ8_0}};

uint64_t cache_bytes_per_token(const ModelInfo& info, CacheFormat format) {
  if (info.is_mla)
    return static_cast<uint64_t>(info.n_layers + info.n_mtp_layers) *
           cache_row_bytes(format, info.kv_lora_rank + info.qk_rope_head_dim);
  uint64_t bytes = 0;
  for (const LayerInfo& layer : info.layers)
    bytes += cache_row_bytes(format, layer.n_kv_heads * info.key_dim) +
             cache_row_bytes(format, layer.n_kv_heads * info.value_dim);
  return bytes;
}

// Rows of the largest prefill step, all alive at once in the widest layer.
uint64_t scratch_bytes(const ModelInfo& info, int64_t seq_len) {
  const int64_t experts_per_row =
      info.is_moe ? 32 * info.n_routed_experts / std::max<int64_t>(info.n_active_experts, 1) : 512;
  const int64_t rows = std::min(std::clamp<int64_t>(experts_per_row, 512, 2048), seq_len);
  const int64_t attention = info.n_heads * (2 * info.key_dim + 2 * info.value_dim);
  const int64_t expanded = info.is_mla ? info.n_heads * (info.qk_nope_head_dim + info.v_head_dim) : 0;
  int64_t feed_forward = 0;
  for (const LayerInfo& layer : info.layers) feed_forward = std::max(feed_forward, layer.feed_forward);
  const int64_t experts = info.n_active_experts * (info.hidden_size + 1) + 3 * info.n_routed_experts;
  // gate and up, and their int8 copies.
  const int64_t per_row = 5 * info.hidden_size + attention + experts + 5 * feed_forward / 2;
  // Expanded keys and values are made for a slice of heads at a time.
  const int64_t keys = std::min<int64_t>(seq_len * expanded, int64_t{64} << 20);
  return static_cast<uint64_t>(rows * per_row + keys + info.vocab_size) * sizeof(float);
}

}  // namespace

MemoryEstimate estimate_memory(const ModelInfo& info, int64_t seq_len, CacheFormat cache_format) {
  if (seq_len < 1)
    throw Error(ErrorCode::kBadRequest,
                format_text("seq_len: expected at least 1, got %lld", static_cast<long long>(seq_len)));
  MemoryEstimate estimate;
  estimate.weights = info.weight_bytes;
  estimate.cache_per_token = cache_bytes_per_token(info, cache_format);
  estimate.cache = estimate.cache_per_token * static_cast<uint64_t>(seq_len);
  estimate.scratch = scratch_bytes(info, seq_len);
  return estimate;
}

CacheFormat cache_format_by_name(const std::string& name) {
  for (const FormatName& each : kFormatNames)
    if (name == each.name) return each.format;
  throw Error(ErrorCode::kBadRequest,
              format_text("cache format: expected f32, f16, bf16 or q8_0, got '%.32s'", name.c_str()));
}

const char* cache_format_name(CacheFormat format) {
  for (const FormatName& each : kFormatNames)
    if (format == each.format) return each.name;
  return "";
}

}  // namespace moebius
