// A set of byte strings with values, for longest-match and all-prefixes search. Nodes' edges
// live in one hash table, so memory is proportional to the strings' total length.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace moebius {

class ByteTrie {
 public:
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  static constexpr int32_t kNoValue = -1;

  ByteTrie();
  // key is not empty, value >= 0. The first value of a key counts.
  void insert(std::string_view key, int32_t value);
  // The child of a node, or kNone.
  uint32_t child(uint32_t node, uint8_t byte) const;
  int32_t value(uint32_t node) const { return values_[node]; }
  bool empty() const { return values_.size() == 1; }
  // Whether any key starts with this byte.
  bool starts_with(uint8_t byte) const { return first_bytes_[byte]; }

  struct Match {
    size_t length = 0;  // 0: none
    int32_t value = kNoValue;
  };
  // The longest key that text[at..] starts with.
  Match longest(std::string_view text, size_t at) const;

 private:
  void grow();
  void place(uint64_t key, uint32_t target);

  std::vector<int32_t> values_;     // [n_nodes]
  std::vector<uint64_t> edge_keys_; // (node << 8 | byte) + 1; 0 = free
  std::vector<uint32_t> edge_targets_;
  size_t edge_count_ = 0;
  bool first_bytes_[256] = {};
};

}  // namespace moebius
