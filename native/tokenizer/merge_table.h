// The merges of byte-level BPE: pairs of symbols and what they become, best first. A symbol
// is a token id, or, for a text that only occurs inside merges, a number from vocab_size up.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/token_map.h"

namespace moebius {

struct Merge {
  int32_t left;
  int32_t right;
  int32_t result;
};

class MergeTable {
 public:
  static constexpr uint32_t kNoRank = 0xFFFFFFFF;

  // lines: "left right". Throws Error(kGguf) naming the line that is malformed.
  MergeTable(const std::vector<std::string>& lines, const TokenMap& by_text, int32_t vocab_size);

  // The pair's place in the list, or kNoRank.
  uint32_t rank(int32_t left, int32_t right) const;
  const Merge& merge(uint32_t rank) const { return merges_[rank]; }

  // The symbol of a text, made if there is none.
  int32_t symbol(std::string_view text, const TokenMap& by_text);
  // The text of a symbol >= vocab_size.
  const std::string& extra_text(int32_t symbol) const { return extra_texts_[static_cast<size_t>(symbol - vocab_size_)]; }

 private:
  int32_t vocab_size_;
  std::vector<Merge> merges_;    // [n_merges]
  std::vector<uint32_t> slots_;  // rank + 1; 0 = free
  std::vector<std::string> extra_texts_;
  std::unordered_map<std::string, int32_t> extra_symbols_;
};

// Replaces the symbols by their merges, best rank first, leftmost first among equals, until
// none applies. O(n log n).
void apply_merges(const MergeTable& table, std::vector<int32_t>& symbols);

}  // namespace moebius
