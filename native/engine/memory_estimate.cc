#include <algorithm>

#include "base/cpu_features.h"
#include "base/error.h"
#include "engine/model_info.h"
#include "model/experts/expert_layout.h"

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

// What the kernels take, in bytes (kernels/cpu/activations.h, tiles.h, product.h). Rounded
// rows and packed columns are of 256 inputs; columns come in sixes.
struct KernelSizes {
  bool is_float = false;  // weights of 16 bits or more: columns stay float
  int64_t blocks(int64_t n) const { return (n + 255) / 256; }
  int64_t rounded(int64_t n) const { return is_float ? 0 : 704 * blocks(n); }
  int64_t six_columns(int64_t n) const { return (is_float ? 6144 : 2880) * blocks(n); }
  int64_t columns(int64_t count, int64_t n) const { return (count + 5) / 6 * six_columns(n); }
};

bool has_float_weights(const ModelInfo& info) {
  const char* const name = info.is_moe ? "experts" : "dense";
  for (const TensorClassInfo& each : info.tensor_classes)
    if (each.name == name) return each.bits_per_weight >= 16;
  return true;
}

// Gate, up and down of `slots` blocks per row, spread over n_groups experts.
int64_t feed_forward_bytes(const ModelInfo& info, const KernelSizes& sizes, int64_t rows, int64_t slots,
                           int64_t n_groups, int64_t width, bool in_parts) {
  constexpr int64_t kPartBytes = int64_t{16} << 20, kBatchBytes = int64_t{16} << 20;
  const int64_t pairs = rows * slots, d = info.hidden_size;
  const int64_t packed_row = sizes.is_float ? 4 * width : 0;  // codes are packed at once
  // The last six columns of a group are full to the half on average: a little more than that.
  const int64_t columns = pairs + 4 * (n_groups > 1 ? n_groups : 0), tiles = (columns + 5) / 6;
  // A batch holds the largest group: all rows where there is a shared expert or but one block,
  // else a few times the average.
  const bool has_whole_group = n_groups == 1 || n_groups > info.n_routed_experts;
  const int64_t largest = (std::min(rows, has_whole_group ? rows : 4 * pairs / n_groups) + 5) / 6;
  const int64_t batch = std::min(tiles, std::max(kBatchBytes / (sizes.six_columns(d) + 6 * packed_row), largest));
  // Small groups go without packing: from how many rows on depends on the machine's thresholds.
  // Their hidden rows need a little more than packed ones.
  constexpr int64_t kUnpackedRows = 24;
  const int64_t unpacked = std::min(pairs, kUnpackedRows * n_groups) * std::max<int64_t>(sizes.rounded(width) - sizes.six_columns(width) / 6, 0);
  const int64_t hidden = unpacked + std::min(pairs, 6 * batch) * packed_row;
  // Outputs of experts that arrive one after another all wait for the last.
  const int64_t parts = in_parts ? 4 * pairs * ((d + 31) / 32 * 32) : std::min(4 * pairs * d, std::max(kPartBytes, 4 * pairs * 32));
  return rows * sizes.rounded(d) + hidden + batch * sizes.six_columns(d) + tiles * sizes.six_columns(width) +
         parts + 12 * pairs;
}

// What lives through a whole layer, in floats per row: the hidden state, a block's input and
// output, the rotation tables.
int64_t layer_elements(const ModelInfo& info) {
  // Local layers may rotate by a table of their own.
  const bool has_windows =
      std::any_of(info.layers.begin(), info.layers.end(), [](const LayerInfo& layer) { return layer.window > 0; });
  return 3 * info.hidden_size + (info.is_mla ? info.qk_rope_head_dim : (has_windows ? 2 : 1) * info.key_dim);
}

// What lives through the attention block, in floats per row.
int64_t attention_elements(const ModelInfo& info, int64_t n_kv_heads) {
  const int64_t heads = info.n_heads * (info.key_dim + info.value_dim);
  return heads + (info.is_mla ? info.kv_lora_rank + info.qk_rope_head_dim + info.q_lora_rank
                              : n_kv_heads * (info.key_dim + info.value_dim));
}

// Keys and values made of the latents for a slice of heads, and the latents as tiles.
int64_t expansion_bytes(const ModelInfo& info, const KernelSizes& sizes, int64_t seq_len) {
  constexpr int64_t kSliceBytes = int64_t{32} << 20;
  if (!info.is_mla) return 0;
  const int64_t keys = (seq_len + 31) / 32 * 32, rank = info.kv_lora_rank;
  const int64_t head = 4 * keys * (info.key_dim + (info.value_dim + 31) / 32 * 32);
  const int64_t slice = std::min(info.n_heads * head, std::max(kSliceBytes, head));
  const int64_t latents = 2 * 4 * keys * ((rank + info.qk_rope_head_dim + 31) / 32 * 32);
  return slice + latents + (sizes.is_float ? 0 : keys * sizes.rounded(rank) + sizes.columns(keys, rank));
}

int64_t feed_forward_worker_bytes(int64_t widest) {
  return 12288 + 32768 + 4 * std::max<int64_t>(widest, 8192) + 2 * 192 * 32 * 4;
}

// MLA: one head's projections as floats and, where they are quantised, as codes.
int64_t attention_worker_bytes(const ModelInfo& info, const KernelSizes& sizes) {
  if (!info.is_mla) return feed_forward_worker_bytes(0);
  const int64_t expansion = 4 * info.kv_lora_rank * (info.qk_nope_head_dim + info.v_head_dim);
  const int64_t codes = sizes.is_float ? 0 : info.qk_nope_head_dim * info.kv_lora_rank * 34 / 32 + feed_forward_worker_bytes(0);
  return expansion + codes + 64 * 4 * (info.key_dim + info.value_dim);
}

// A prefill step of so many rows: what its widest layer keeps and the most that one kernel takes.
uint64_t scratch_bytes(const ModelInfo& info, int64_t rows, int64_t seq_len, bool in_parts) {
  const KernelSizes sizes{has_float_weights(info)};
  int64_t n_kv_heads = 0, dense_width = 0;
  for (const LayerInfo& layer : info.layers) {
    n_kv_heads = std::max(n_kv_heads, layer.n_kv_heads);
    if (!layer.is_moe) dense_width = std::max(dense_width, layer.feed_forward);
  }
  int64_t feed_forward = dense_width > 0 ? feed_forward_bytes(info, sizes, rows, 1, 1, dense_width, /*in_parts=*/false) : 0;
  int64_t widest = std::max(info.hidden_size, dense_width);
  if (info.is_moe) {
    const bool is_shared = info.shared_expert_feed_forward > 0;
    const int64_t width = std::max(info.expert_feed_forward, info.shared_expert_feed_forward);
    const int64_t routing = 4 * rows * (info.n_routed_experts + 2 * info.n_active_experts);
    feed_forward = std::max(feed_forward, routing + feed_forward_bytes(info, sizes, rows, info.n_active_experts + is_shared,
                                                                       info.n_routed_experts + is_shared, width, in_parts));
    widest = std::max(widest, width);
  }
  const int64_t projection = rows * sizes.rounded(info.n_heads * info.value_dim) +
                             sizes.columns(rows, std::max(info.hidden_size, info.n_heads * info.value_dim));
  const int64_t attention = 4 * rows * attention_elements(info, n_kv_heads) +
                            std::max(expansion_bytes(info, sizes, seq_len), projection);
  const int64_t n_workers = physical_core_count();
  const int64_t kernel = std::max(feed_forward + n_workers * feed_forward_worker_bytes(widest),
                                  attention + n_workers * attention_worker_bytes(info, sizes));
  // Every take is rounded up to a cache line.
  constexpr int64_t kRounding = 4096;
  return static_cast<uint64_t>(4 * rows * layer_elements(info) + kernel + kRounding);
}

}  // namespace

int64_t default_prefill_chunk(const ModelInfo& info) {
  constexpr int64_t kLeast = 512, kMost = 2048, kUnit = 128;
  if (!info.is_moe) return kLeast;
  const int64_t wanted = 128 * info.n_routed_experts / std::max<int64_t>(info.n_active_experts, 1);
  int64_t rows = std::clamp((wanted + kUnit - 1) / kUnit * kUnit, kLeast, kMost);
  const uint64_t most_scratch = info.weight_bytes / 25;
  while (rows > kLeast && scratch_bytes(info, rows, rows, /*in_parts=*/false) > most_scratch) rows -= kUnit;
  return rows;
}

int64_t next_prefill_rows(int64_t n_left, int64_t chunk) {
  constexpr int64_t kUnit = 64;
  if (n_left <= chunk) return n_left;
  const int64_t n_steps = (n_left + chunk - 1) / chunk, even = (n_left + n_steps - 1) / n_steps;
  return std::min(chunk, (even + kUnit - 1) / kUnit * kUnit);
}

MemoryEstimate estimate_memory(const ModelInfo& info, int64_t seq_len, CacheFormat cache_format, uint64_t expert_memory) {
  if (seq_len < 1)
    throw Error(ErrorCode::kBadRequest,
                format_text("seq_len: expected at least 1, got %lld", static_cast<long long>(seq_len)));
  MemoryEstimate estimate;
  estimate.weights = info.weight_bytes;
  estimate.cache_per_token = cache_bytes_per_token(info, cache_format);
  estimate.cache = estimate.cache_per_token * static_cast<uint64_t>(seq_len);
  if (info.is_moe) {
    estimate.least_expert_memory = info.expert_slot_bytes * static_cast<uint64_t>(info.n_active_experts);
    estimate.most_expert_memory = info.expert_slot_bytes * static_cast<uint64_t>(info.n_routed_experts);
  }
  if (expert_memory > 0) {
    const ExpertBudget budget = 
        spend_expert_budget(info.expert_slot_bytes, info.n_routed_experts, info.n_active_experts, expert_memory);
    estimate.weights -= info.routed_expert_bytes;
    estimate.experts = budget.n_bytes;
    estimate.expert_slots = budget.slots_per_layer;
  }
  estimate.scratch = scratch_bytes(info, std::min(default_prefill_chunk(info), seq_len), seq_len, /*in_parts=*/expert_memory > 0);
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
