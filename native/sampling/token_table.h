// What sampling needs to know of a vocabulary: the bytes of each token and which ids end an
// answer. Built once per model by the engine, shared read-only by all its samplers, so that
// this layer needs no tokenizer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moebius {

class TokenTable {
 public:
  // bytes[id] is what the token prints: "" for control, unknown and unused tokens, which a
  // grammar then never allows. Throws Error(kBadRequest) for ids out of range.
  TokenTable(std::vector<std::string> bytes, std::vector<int32_t> end_of_generation_ids);

  int32_t vocab_size() const { return static_cast<int32_t>(bytes_.size()); }
  // "" for ids outside the table: models may have more logits than tokens.
  std::string_view bytes(int32_t id) const {
    return id >= 0 && id < vocab_size() ? std::string_view(bytes_[static_cast<size_t>(id)]) : std::string_view();
  }
  const std::vector<int32_t>& end_of_generation_ids() const { return end_of_generation_ids_; }

  // Ids of the tokens with bytes, in the order of their bytes: a trie laid flat.
  const std::vector<int32_t>& sorted_ids() const { return sorted_ids_; }
  // common_prefix()[i]: how many leading bytes sorted token i shares with sorted token i - 1.
  const std::vector<uint32_t>& common_prefix() const { return common_prefix_; }

 private:
  std::vector<std::string> bytes_;               // [vocab_size]
  std::vector<int32_t> end_of_generation_ids_;   // ascending
  std::vector<int32_t> sorted_ids_;              // [n_tokens_with_bytes]
  std::vector<uint32_t> common_prefix_;          // [n_tokens_with_bytes]
};

}  // namespace moebius
