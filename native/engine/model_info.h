// What the loader knows about a model file, as plain data for the model card, the command
// line and the memory fit. Every value is either typed below or listed in `derived` with
// where it came from. Nothing here points into the file: copies may outlive the model.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "kernels/kernels.h"

namespace moebius {

// One derived value. origin: "key", "tensor" (its shape), "table" (the fallback for old
// files), "override" (given by the user), "default" or "family" (fixed by the architecture).
struct DerivedValue {
  std::string name;   // glossary name, "n_active_groups"
  std::string value;  // as text, "4"
  std::string origin;
  std::string source;  // key or tensor name, empty for defaults
};

// Bytes and parameters of one class of tensors: experts, shared_experts, attention, dense,
// head, embedding, norms, router, mtp.
struct TensorClassInfo {
  std::string name;
  int64_t n_tensors = 0;
  int64_t parameters = 0;
  uint64_t bytes = 0;
  double bits_per_weight = 0;
  uint64_t bytes_per_token = 0;  // read for one decoded token at an empty cache
};

struct QuantFormatCount {
  std::string name;  // "Q4_K"
  int64_t n_tensors = 0;
  uint64_t bytes = 0;
};

struct SamplingSuggestion {
  std::string name;  // as in the file after `general.sampling.`: "temp", "top_p"
  double value = 0;
};

struct ChatTemplate {
  std::string name;  // "" for the default one
  std::string text;  // Jinja, hostile until proven otherwise
};

struct LayerInfo {
  int64_t layer = 0;
  bool is_moe = false;
  bool is_mtp = false;
  int64_t window = 0;  // sliding window, 0 = full attention
  int64_t n_kv_heads = 0;
  int64_t feed_forward = 0;  // width one token runs through: active and shared experts together
};

struct ModelInfo {
  std::string path;  // of the first part
  std::vector<std::string> parts;
  uint64_t file_bytes = 0;  // all parts
  std::string identity;     // 32 hex digits over metadata and tensor table; names snapshots

  std::string architecture;  // "deepseek2"
  std::string name;          // general.name, may be empty
  std::string size_label, author, licence, licence_link, description, source_url;

  int64_t n_layers = 0;      // trunk only
  int64_t n_mtp_layers = 0;  // present in the file
  int64_t n_dense_layers = 0;
  int64_t hidden_size = 0, vocab_size = 0;
  int64_t max_seq_len = 0;  // what the model was made for
  int64_t n_heads = 0, n_kv_heads = 0, key_dim = 0, value_dim = 0;
  bool is_mla = false;
  int64_t q_lora_rank = 0, kv_lora_rank = 0;
  int64_t qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;

  bool is_moe = false;
  int64_t n_routed_experts = 0, n_active_experts = 0, n_shared_experts = 0;
  int64_t n_expert_groups = 1, n_active_groups = 1;
  int64_t expert_feed_forward = 0, shared_expert_feed_forward = 0;  // one routed expert; all shared
  std::string score_func;  // "softmax", "sigmoid", "softmax_selected", "sqrt_softplus"
  std::string group_rule;  // "max", "sum_of_top_two", "" without groups
  bool has_selection_bias = false;
  bool normalizes_weights = false;
  double routed_scaling_factor = 1;
  std::vector<LayerInfo> layers;  // trunk, then MTP

  int64_t parameters_total = 0, parameters_active = 0;
  uint64_t weight_bytes = 0;
  uint64_t routed_expert_bytes = 0;  // of those, routed experts of all layers
  uint64_t expert_slot_bytes = 0;    // memory that holds one streamed expert in every layer
  double bits_per_weight = 0;
  uint64_t bytes_per_token = 0;  // weights read per decoded token at an empty cache
  std::vector<TensorClassInfo> tensor_classes;
  std::vector<QuantFormatCount> quant_formats;  // by bytes, largest first
  std::string main_quant_format;                // the one with the most bytes

  std::vector<DerivedValue> derived;
  std::vector<std::string> ignored_tensors;
  std::vector<std::string> warnings;

  std::string tokenizer_model, tokenizer_pre;
  std::vector<ChatTemplate> chat_templates;
  std::vector<SamplingSuggestion> sampling_suggestions;
};

using MetadataScalar = std::variant<bool, int64_t, uint64_t, double, std::string>;

// Arrays are summarised: count and the first eight elements. Strings are cut at 64 KiB.
struct MetadataEntry {
  std::string key;
  std::string type;  // "u32", "string", ... ; of the elements for arrays
  bool is_array = false;
  uint64_t count = 1;
  std::vector<MetadataScalar> values;
};

struct TensorEntry {
  std::string name;
  std::string quant_format;
  std::vector<int64_t> shape;  // GGUF order, first is contiguous
  uint64_t bytes = 0;
  int part = 0;         // of a split set
  uint64_t offset = 0;  // from the start of that part
};

// A file seen without loading it. `info` holds what could be derived; when the model cannot
// be run, `problem` says why and the rest is still filled.
struct FileInspection {
  ModelInfo info;
  std::string problem;
  std::vector<MetadataEntry> metadata;
  std::vector<TensorEntry> tensors;
};

// All in bytes, for one session.
struct MemoryEstimate {
  uint64_t weights = 0;  // mapped, shared by all sessions; without the experts when they are streamed
  uint64_t cache = 0;
  uint64_t scratch = 0;  // activations of the largest step, shared by all sessions
  uint64_t cache_per_token = 0;
  uint64_t experts = 0;  // memory of streamed experts
  int64_t expert_slots = 0;  // experts it holds in each layer; 0 = mapped
  uint64_t least_expert_memory = 0;  // smallest that streaming works with; 0 = nothing to stream
  uint64_t most_expert_memory = 0;   // with this no expert is read twice
  uint64_t total() const { return weights + cache + scratch + experts; }
};

// Rows of a prefill step unless the session says otherwise. Prefill pays for expanding a
// matrix, and for the keys and values of the history, once per step: enough rows that every
// expert sees about 128 of them, as far as their scratch stays below 4 % of the weights.
int64_t default_prefill_chunk(const ModelInfo& info);

// Rows of the next prefill step when n_left are to come in steps of at most `chunk`: as few
// steps as possible, about equally long (in multiples of 64), so that the last is no remnant.
int64_t next_prefill_rows(int64_t n_left, int64_t chunk);

// seq_len in tokens; throws Error(kBadRequest) when it is not positive. expert_memory as in
// LoadOptions, with the same errors.
MemoryEstimate estimate_memory(const ModelInfo& info, int64_t seq_len, CacheFormat cache_format,
                               uint64_t expert_memory = 0);

// How streamed experts fare. Counters since the model was loaded; an expert counts once for
// each layer and step that asks for it.
struct StreamedExperts {
  uint64_t n_bytes = 0;  // memory of all slots
  int64_t slots_per_layer = 0;
  uint64_t hits = 0;    // were in memory
  uint64_t misses = 0;  // had to be read
  uint64_t bytes_read = 0;
  double read_ms = 0;   // while anything was being read
  double wait_ms = 0;   // of those, with nothing left to compute
};

// "f32", "f16", "bf16", "q8_0"; throws Error(kBadRequest) naming the choices.
CacheFormat cache_format_by_name(const std::string& name);
const char* cache_format_name(CacheFormat format);

}  // namespace moebius
