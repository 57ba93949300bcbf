#include "addon/conversions.h"

#include <cstring>
#include <variant>

namespace moebius::addon {
namespace {

template <typename Array, typename Element>
Array copy_array(Napi::Env env, std::span<const Element> values) {
  Array array = Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size_bytes());
  return array;
}

std::string scalar_text(const MetadataScalar& scalar) {
  if (const auto* text = std::get_if<std::string>(&scalar)) return *text;
  if (const auto* flag = std::get_if<bool>(&scalar)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<int64_t>(&scalar)) return std::to_string(*number);
  if (const auto* number = std::get_if<uint64_t>(&scalar)) return std::to_string(*number);
  return format_text("%.9g", std::get<double>(scalar));
}

Napi::Object to_js(Napi::Env env, const MetadataEntry& entry) {
  return ObjectWriter(env)
      .set("key", entry.key)
      .set("type", entry.type)
      .set("isArray", entry.is_array)
      .set("count", entry.count)
      .set("values", to_js_array(env, entry.values,
                                 [&](const MetadataScalar& scalar) { return Napi::String::New(env, scalar_text(scalar)); }))
      .object();
}

Napi::Object to_js(Napi::Env env, const TensorEntry& tensor) {
  return ObjectWriter(env)
      .set("name", tensor.name)
      .set("quantFormat", tensor.quant_format)
      .set("shape", to_js_array(env, tensor.shape,
                                [&](int64_t extent) { return Napi::Number::New(env, static_cast<double>(extent)); }))
      .set("bytes", tensor.bytes)
      .set("part", tensor.part)
      .set("offset", tensor.offset)
      .object();
}

void set_shape(ObjectWriter& writer, const ModelInfo& info) {
  writer.set("nLayers", info.n_layers)
      .set("nMtpLayers", info.n_mtp_layers)
      .set("nDenseLayers", info.n_dense_layers)
      .set("hiddenSize", info.hidden_size)
      .set("vocabSize", info.vocab_size)
      .set("maxSeqLen", info.max_seq_len)
      .set("nHeads", info.n_heads)
      .set("nKvHeads", info.n_kv_heads)
      .set("keyDim", info.key_dim)
      .set("valueDim", info.value_dim)
      .set("isMla", info.is_mla)
      .set("qLoraRank", info.q_lora_rank)
      .set("kvLoraRank", info.kv_lora_rank)
      .set("isMoe", info.is_moe)
      .set("nRoutedExperts", info.n_routed_experts)
      .set("nActiveExperts", info.n_active_experts)
      .set("nSharedExperts", info.n_shared_experts)
      .set("nExpertGroups", info.n_expert_groups)
      .set("nActiveGroups", info.n_active_groups)
      .set("scoreFunc", info.score_func)
      .set("groupRule", info.group_rule)
      .set("hasSelectionBias", info.has_selection_bias)
      .set("normalizesWeights", info.normalizes_weights)
      .set("routedScalingFactor", info.routed_scaling_factor)
      .set("parametersTotal", info.parameters_total)
      .set("parametersActive", info.parameters_active)
      .set("weightBytes", info.weight_bytes)
      .set("bitsPerWeight", info.bits_per_weight)
      .set("bytesPerToken", info.bytes_per_token);
}

void set_lists(Napi::Env env, ObjectWriter& writer, const ModelInfo& info) {
  writer.set("layers", to_js_array(env, info.layers, [&](const LayerInfo& layer) {
    return ObjectWriter(env)
        .set("layer", layer.layer)
        .set("isMoe", layer.is_moe)
        .set("isMtp", layer.is_mtp)
        .set("window", layer.window)
        .set("nKvHeads", layer.n_kv_heads)
        .object();
  }));
  writer.set("tensorClasses", to_js_array(env, info.tensor_classes, [&](const TensorClassInfo& item) {
    return ObjectWriter(env)
        .set("name", item.name)
        .set("nTensors", item.n_tensors)
        .set("parameters", item.parameters)
        .set("bytes", item.bytes)
        .set("bitsPerWeight", item.bits_per_weight)
        .set("bytesPerToken", item.bytes_per_token)
        .object();
  }));
  writer.set("quantFormats", to_js_array(env, info.quant_formats, [&](const QuantFormatCount& item) {
    return ObjectWriter(env).set("name", item.name).set("nTensors", item.n_tensors).set("bytes", item.bytes).object();
  }));
  writer.set("derived", to_js_array(env, info.derived, [&](const DerivedValue& item) {
    return ObjectWriter(env)
        .set("name", item.name)
        .set("value", item.value)
        .set("origin", item.origin)
        .set("source", item.source)
        .object();
  }));
  writer.set("chatTemplates", to_js_array(env, info.chat_templates, [&](const ChatTemplate& item) {
    return ObjectWriter(env).set("name", item.name).set("text", item.text).object();
  }));
  writer.set("samplingSuggestions", to_js_array(env, info.sampling_suggestions, [&](const SamplingSuggestion& item) {
    return ObjectWriter(env).set("name", item.name).set("value", item.value).object();
  }));
}

}  // namespace

ObjectWriter& ObjectWriter::set(const char* key, const std::string& value) {
  object_.Set(key, Napi::String::New(env_, value));
  return *this;
}

ObjectWriter& ObjectWriter::set(const char* key, bool value) {
  object_.Set(key, Napi::Boolean::New(env_, value));
  return *this;
}

ObjectWriter& ObjectWriter::set(const char* key, double value) {
  object_.Set(key, Napi::Number::New(env_, value));
  return *this;
}

ObjectWriter& ObjectWriter::set(const char* key, const Napi::Value& value) {
  object_.Set(key, value);
  return *this;
}

ObjectWriter& ObjectWriter::set(const char* key, const std::vector<std::string>& value) {
  return set(key, to_js_array(env_, value, [&](const std::string& item) { return Napi::String::New(env_, item); }));
}

Napi::Int32Array to_js(Napi::Env env, std::span<const int32_t> values) {
  return copy_array<Napi::Int32Array>(env, values);
}
Napi::Uint16Array to_js(Napi::Env env, std::span<const uint16_t> values) {
  return copy_array<Napi::Uint16Array>(env, values);
}
Napi::Uint32Array to_js(Napi::Env env, std::span<const uint32_t> values) {
  return copy_array<Napi::Uint32Array>(env, values);
}
Napi::Float32Array to_js(Napi::Env env, std::span<const float> values) {
  return copy_array<Napi::Float32Array>(env, values);
}

Napi::Object to_js(Napi::Env env, const ModelInfo& info) {
  ObjectWriter writer(env);
  writer.set("path", info.path)
      .set("parts", info.parts)
      .set("fileBytes", info.file_bytes)
      .set("identity", info.identity)
      .set("architecture", info.architecture)
      .set("name", info.name)
      .set("sizeLabel", info.size_label)
      .set("author", info.author)
      .set("licence", info.licence)
      .set("licenceLink", info.licence_link)
      .set("description", info.description)
      .set("sourceUrl", info.source_url)
      .set("mainQuantFormat", info.main_quant_format)
      .set("tokenizerModel", info.tokenizer_model)
      .set("tokenizerPre", info.tokenizer_pre)
      .set("ignoredTensors", info.ignored_tensors)
      .set("warnings", info.warnings);
  set_shape(writer, info);
  set_lists(env, writer, info);
  return writer.object();
}

Napi::Object to_js(Napi::Env env, const FileInspection& inspection) {
  return ObjectWriter(env)
      .set("info", to_js(env, inspection.info))
      .set("problem", inspection.problem)
      .set("metadata",
           to_js_array(env, inspection.metadata, [&](const MetadataEntry& entry) { return to_js(env, entry); }))
      .set("tensors", to_js_array(env, inspection.tensors, [&](const TensorEntry& tensor) { return to_js(env, tensor); }))
      .object();
}

}  // namespace moebius::addon
