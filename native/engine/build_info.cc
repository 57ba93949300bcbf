#include "engine/build_info.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/utf8.h"
#include "model/experts/expert_layout.h"
#include "model/load_weights.h"
#include "quant/quant_format.h"
#include "routing/router.h"

namespace moebius {

namespace {

std::string text_or(const GgufMetadata& metadata, const char* key, const char* fallback = "") {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr || !value->text()) return fallback;
  std::string text(*value->text());
  return is_valid_utf8(text) ? text : printable_text(text, text.size());
}

// Names a model by what it is made of, not by where it lies: metadata and tensor table.
class Identity {
 public:
  void add(const void* data, size_t bytes) {
    const uint8_t* at = static_cast<const uint8_t*>(data);
    for (; bytes >= 8; bytes -= 8, at += 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      mix(word);
    }
    uint64_t rest = bytes;
    for (; bytes > 0; --bytes, ++at) rest = rest << 8 | *at;
    mix(rest);
  }
  void add(const std::string& text) { add(text.data(), text.size()); }
  template <typename T>
  void add_value(T value) {
    mix(static_cast<uint64_t>(value));
  }
  std::string text() const {
    return format_text("%016llx%016llx", static_cast<unsigned long long>(low_),
                       static_cast<unsigned long long>(high_));
  }

 private:
  void mix(uint64_t word) {
    low_ = (low_ ^ word) * 0x100000001b3ull;
    high_ = (high_ + word) * 0x9e3779b97f4a7c15ull;
    high_ ^= high_ >> 29;
  }
  uint64_t low_ = 0xcbf29ce484222325ull, high_ = 0x6a09e667f3bcc908ull;
};

std::string identity_of(const GgufModelFile& file) {
  Identity identity;
  for (const GgufEntry& entry : file.metadata().entries()) {
    identity.add(entry.key);
    identity.add(entry.value.data, entry.value.n_bytes);
  }
  for (const GgufTensor& tensor : file.tensors()) {
    identity.add(tensor.name);
    identity.add(tensor.dims, sizeof tensor.dims);
    identity.add_value(tensor.format);
  }
  return identity.text();
}

std::vector<ChatTemplate> chat_templates(const GgufMetadata& metadata) {
  const std::string prefix = "tokenizer.chat_template";
  std::vector<ChatTemplate> templates;
  for (const GgufEntry& entry : metadata.entries()) {
    if (entry.key.rfind(prefix, 0) != 0 || !entry.value.text()) continue;
    if (entry.key.size() == prefix.size())
      templates.insert(templates.begin(), {"", text_or(metadata, entry.key.c_str())});
    else if (entry.key[prefix.size()] == '.')
      templates.push_back({entry.key.substr(prefix.size() + 1), text_or(metadata, entry.key.c_str())});
  }
  return templates;
}

std::vector<SamplingSuggestion> sampling_suggestions(const GgufMetadata& metadata) {
  const std::string prefix = "general.sampling.";
  std::vector<SamplingSuggestion> suggestions;
  for (const GgufEntry& entry : metadata.entries())
    if (entry.key.rfind(prefix, 0) == 0 && !entry.value.is_array)
      if (const auto value = entry.value.number())
        suggestions.push_back({entry.key.substr(prefix.size()), *value});
  return suggestions;
}

MetadataScalar scalar_of(const GgufValue& value, uint64_t index) {
  switch (value.type) {
    case GgufType::kBool:
      return value.boolean(index).value_or(false);
    case GgufType::kF32:
    case GgufType::kF64:
      return value.number(index).value_or(0);
    case GgufType::kU64:
      if (const auto number = value.integer(index)) return static_cast<uint64_t>(*number);
      return value.number(index).value_or(0);  // above 2^63
    default:
      return value.integer(index).value_or(0);
  }
}

std::string shortened(std::string_view text) {
  constexpr size_t kMostBytes = 64 * 1024;
  const std::string_view cut = text.substr(0, kMostBytes);
  const size_t valid = utf8_error_offset(cut);
  if (valid == std::string_view::npos) return std::string(cut);
  const bool cut_a_character = text.size() > kMostBytes && cut.size() - valid < 4;
  return cut_a_character ? std::string(cut.substr(0, valid)) : printable_text(cut, cut.size());
}

// The first strings of an array, without walking all of a vocabulary.
std::vector<MetadataScalar> first_texts(const GgufValue& value, uint64_t n) {
  std::vector<MetadataScalar> texts;
  const uint8_t* at = value.data;
  uint64_t left = value.n_bytes;
  for (uint64_t i = 0; i < n && left >= 8; ++i) {
    uint64_t length;
    std::memcpy(&length, at, 8);
    if (length > left - 8) break;
    texts.emplace_back(shortened({reinterpret_cast<const char*>(at) + 8, length}));
    at += 8 + length;
    left -= 8 + length;
  }
  return texts;
}

// Share of a class that one decoded token reads.
double share_per_token(const std::string& name, const ModelConfig& config) {
  if (name == "experts")
    return static_cast<double>(config.moe.n_active_experts) /
           static_cast<double>(std::max<int64_t>(config.moe.n_routed_experts, 1));
  if (name == "embedding") return 1 / static_cast<double>(std::max<int64_t>(config.vocab_size, 1));
  return name == "mtp" || name == "other" ? 0 : 1;
}

}  // namespace

ModelInfo describe_file(const GgufModelFile& file) {
  const GgufMetadata& metadata = file.metadata();
  ModelInfo info;
  info.path = file.path();
  for (const GgufFile& part : file.parts()) info.parts.push_back(part.path());
  info.file_bytes = file.file_bytes();
  info.identity = identity_of(file);
  info.architecture = text_or(metadata, "general.architecture");
  info.name = text_or(metadata, "general.name");
  info.size_label = text_or(metadata, "general.size_label");
  info.author = text_or(metadata, "general.author", text_or(metadata, "general.organization").c_str());
  info.licence = text_or(metadata, "general.license");
  info.licence_link = text_or(metadata, "general.license.link");
  info.description = text_or(metadata, "general.description");
  info.source_url = text_or(metadata, "general.source.url", text_or(metadata, "general.url").c_str());
  info.tokenizer_model = text_or(metadata, "tokenizer.ggml.model");
  info.tokenizer_pre = text_or(metadata, "tokenizer.ggml.pre");
  info.chat_templates = chat_templates(metadata);
  info.sampling_suggestions = sampling_suggestions(metadata);
  return info;
}

void describe_model(const GgufModelFile& file, const ModelConfig& config, const ModelWeights& weights, const DerivationLog& log,
                    ModelInfo& info) {
  info.n_layers = config.n_layers;
  info.n_mtp_layers = config.n_mtp_layers;
  info.hidden_size = config.hidden_size;
  info.vocab_size = config.vocab_size;
  info.max_seq_len = config.max_seq_len;
  info.n_heads = config.n_heads;
  info.n_kv_heads = config.layers.front().n_kv_heads;
  info.key_dim = config.key_dim;
  info.value_dim = config.value_dim;
  info.is_mla = config.is_mla;
  info.q_lora_rank = config.mla.q_lora_rank;
  info.kv_lora_rank = config.mla.kv_lora_rank;
  info.qk_nope_head_dim = config.mla.qk_nope_head_dim;
  info.qk_rope_head_dim = config.mla.qk_rope_head_dim;
  info.v_head_dim = config.mla.v_head_dim;
  for (int64_t layer = 0; layer < config.n_all_layers(); ++layer) {
    const LayerConfig& each = config.layers[static_cast<size_t>(layer)];
    const int64_t active_width =
        config.moe.n_active_experts * config.moe.expert_feed_forward + config.moe.shared_expert_feed_forward;
    info.layers.push_back({layer, each.is_moe, layer >= config.n_layers, each.window, each.n_kv_heads,
                           each.is_moe ? active_width : each.feed_forward});
    if (layer < config.n_layers && !each.is_moe) ++info.n_dense_layers;
  }
  info.is_moe = config.is_moe;
  if (config.is_moe) {
    const MoeConfig& moe = config.moe;
    info.n_routed_experts = moe.n_routed_experts;
    info.n_active_experts = moe.n_active_experts;
    info.n_shared_experts = moe.n_shared_experts;
    info.expert_feed_forward = moe.expert_feed_forward;
    info.shared_expert_feed_forward = moe.shared_expert_feed_forward;
    info.n_expert_groups = moe.n_expert_groups;
    info.n_active_groups = moe.n_active_groups;
    info.score_func = score_func_name(moe.score_func);
    info.normalizes_weights = moe.normalizes_weights;
    info.routed_scaling_factor = moe.routed_scaling_factor;
    for (const LayerWeights& layer : weights.layers) {
      if (layer.router.rule.selection_bias != nullptr) info.has_selection_bias = true;
      if (moe.n_expert_groups > 1 && !layer.router.projection.empty())
        info.group_rule = group_rule_name(layer.router.rule.group_rule);
    }
  }
  const std::vector<LayerExperts> experts = expert_layout(file, weights);
  info.expert_slot_bytes = expert_slot_bytes(experts);
  for (const LayerExperts& layer : experts) info.routed_expert_bytes += layer.n_bytes();
  for (const DerivationNote& note : log.notes)
    info.derived.push_back({note.name, note.value, note.origin, note.source});
  info.warnings.insert(info.warnings.end(), log.warnings.begin(), log.warnings.end());
}

void describe_tensors(const GgufModelFile& file, const ModelConfig& config, ModelInfo& info) {
  std::map<std::string, TensorClassInfo> classes;
  std::map<QuantFormat, QuantFormatCount> formats;
  uint64_t bits = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    TensorClassInfo& of = classes[tensor_class(tensor.name, config.n_layers)];
    ++of.n_tensors;
    of.parameters += tensor.n_elements();
    of.bytes += tensor.n_bytes;
    QuantFormatCount& format = formats[tensor.format];
    format.name = quant_format_info(tensor.format).name;
    ++format.n_tensors;
    format.bytes += tensor.n_bytes;
    info.parameters_total += tensor.n_elements();
    info.weight_bytes += tensor.n_bytes;
  }
  bits = info.weight_bytes * 8;
  const bool is_tied = file.find_tensor("output.weight") == nullptr;
  for (auto& [name, of] : classes) {
    of.name = name;
    of.bits_per_weight =
        of.parameters > 0 ? static_cast<double>(of.bytes) * 8 / static_cast<double>(of.parameters) : 0;
    const double share = name == "embedding" && is_tied ? 1 : share_per_token(name, config);
    of.bytes_per_token = static_cast<uint64_t>(static_cast<double>(of.bytes) * share);
    info.bytes_per_token += of.bytes_per_token;
    if (name == "embedding")
      info.parameters_active += is_tied ? of.parameters : 0;
    else
      info.parameters_active += static_cast<int64_t>(static_cast<double>(of.parameters) * share);
    info.tensor_classes.push_back(of);
  }
  if (info.parameters_total > 0)
    info.bits_per_weight = static_cast<double>(bits) / static_cast<double>(info.parameters_total);
  for (const auto& [id, format] : formats) info.quant_formats.push_back(format);
  std::sort(info.quant_formats.begin(), info.quant_formats.end(), [](const auto& a, const auto& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.name < b.name;
  });
  if (!info.quant_formats.empty()) info.main_quant_format = info.quant_formats.front().name;
}

std::vector<MetadataEntry> list_metadata(const GgufModelFile& file) {
  constexpr uint64_t kShownElements = 8;
  std::vector<MetadataEntry> entries;
  for (const GgufEntry& entry : file.metadata().entries()) {
    MetadataEntry row;
    row.key = entry.key;
    row.type = gguf_type_name(entry.value.type);
    row.is_array = entry.value.is_array;
    row.count = entry.value.count;
    const uint64_t shown = entry.value.is_array ? std::min(entry.value.count, kShownElements) : 1;
    if (entry.value.type == GgufType::kString)
      row.values = first_texts(entry.value, shown);
    else
      for (uint64_t i = 0; i < shown; ++i) row.values.push_back(scalar_of(entry.value, i));
    entries.push_back(std::move(row));
  }
  return entries;
}

std::vector<TensorEntry> list_tensors(const GgufModelFile& file) {
  std::vector<TensorEntry> rows;
  for (const GgufTensor& tensor : file.tensors()) {
    TensorEntry row;
    row.name = tensor.name;
    row.quant_format = quant_format_info(tensor.format).name;
    row.shape.assign(tensor.dims, tensor.dims + tensor.n_dims);
    row.bytes = tensor.n_bytes;
    row.part = tensor.part;
    row.offset = tensor.offset;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace moebius
