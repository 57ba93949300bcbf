#include "engine/load_tokenizer.h"

#include "base/error.h"

namespace moebius {

namespace {

int32_t token_id(const GgufMetadata& metadata, const char* key) {
  return static_cast<int32_t>(metadata.integer(key, -1, 0x7fffffff).value_or(kNoToken));
}

int tri_state(const GgufMetadata& metadata, const char* key) {
  const auto value = metadata.boolean(key);
  return value ? static_cast<int>(*value) : -1;
}

std::vector<std::string> texts(const GgufMetadata& metadata, const char* key) {
  std::vector<std::string> result;
  if (const auto views = metadata.texts(key)) result.assign(views->begin(), views->end());
  return result;
}

std::string charsmap(const GgufMetadata& metadata) {
  const GgufValue* value = metadata.find("tokenizer.ggml.precompiled_charsmap");
  if (value == nullptr || !value->is_array) return "";
  return std::string(reinterpret_cast<const char*>(value->data), value->n_bytes);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const GgufMetadata& metadata) {
  Vocabulary vocabulary;
  vocabulary.model = metadata.require_text("tokenizer.ggml.model");
  vocabulary.pre = metadata.text("tokenizer.ggml.pre").value_or("");
  vocabulary.tokens = texts(metadata, "tokenizer.ggml.tokens");
  vocabulary.merges = texts(metadata, "tokenizer.ggml.merges");
  vocabulary.scores = metadata.numbers("tokenizer.ggml.scores").value_or(std::vector<float>{});
  if (const auto types = metadata.integers("tokenizer.ggml.token_type"))
    vocabulary.token_types.assign(types->begin(), types->end());
  vocabulary.bos_id = token_id(metadata, "tokenizer.ggml.bos_token_id");
  vocabulary.eos_id = token_id(metadata, "tokenizer.ggml.eos_token_id");
  vocabulary.eot_id = token_id(metadata, "tokenizer.ggml.eot_token_id");
  vocabulary.eom_id = token_id(metadata, "tokenizer.ggml.eom_token_id");
  vocabulary.unk_id = token_id(metadata, "tokenizer.ggml.unknown_token_id");
  vocabulary.pad_id = token_id(metadata, "tokenizer.ggml.padding_token_id");
  vocabulary.add_bos = tri_state(metadata, "tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = tri_state(metadata, "tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = tri_state(metadata, "tokenizer.ggml.add_space_prefix");
  vocabulary.remove_extra_whitespaces = tri_state(metadata, "tokenizer.ggml.remove_extra_whitespaces");
  vocabulary.precompiled_charsmap = charsmap(metadata);
  return Tokenizer::create(std::move(vocabulary));
}

std::shared_ptr<const TokenTable> make_token_table(const Tokenizer& tokenizer) {
  std::vector<std::string> bytes(static_cast<size_t>(tokenizer.vocab_size()));
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    if (!tokenizer.is_special(id)) bytes[static_cast<size_t>(id)] = std::string(tokenizer.token_bytes(id));
  return std::make_shared<const TokenTable>(std::move(bytes), tokenizer.end_of_generation_ids());
}

}  // namespace moebius
