#include "tokenizer/byte_trie.h"

#include "tokenizer/token_map.h"

namespace moebius {

namespace {

uint64_t edge_key(uint32_t node, uint8_t byte) { return (static_cast<uint64_t>(node) << 8 | byte) + 1; }
uint64_t edge_hash(uint64_t key) { return hash_pair(static_cast<uint32_t>(key >> 32), static_cast<uint32_t>(key)); }

}  // namespace

ByteTrie::ByteTrie() : values_(1, kNoValue), edge_keys_(64), edge_targets_(64) {}

void ByteTrie::place(uint64_t key, uint32_t target) {
  const uint64_t mask = edge_keys_.size() - 1;
  uint64_t slot = edge_hash(key) & mask;
  while (edge_keys_[slot] != 0) slot = (slot + 1) & mask;
  edge_keys_[slot] = key;
  edge_targets_[slot] = target;
}

void ByteTrie::grow() {
  std::vector<uint64_t> keys(edge_keys_.size() * 2);
  std::vector<uint32_t> targets(keys.size());
  keys.swap(edge_keys_);
  targets.swap(edge_targets_);
  for (size_t i = 0; i < keys.size(); ++i)
    if (keys[i] != 0) place(keys[i], targets[i]);
}

void ByteTrie::insert(std::string_view key, int32_t value) {
  first_bytes_[static_cast<uint8_t>(key[0])] = true;
  uint32_t node = kRoot;
  for (const char c : key) {
    uint32_t next = child(node, static_cast<uint8_t>(c));
    if (next == kNone) {
      if (edge_count_ * 2 >= edge_keys_.size()) grow();
      next = static_cast<uint32_t>(values_.size());
      values_.push_back(kNoValue);
      place(edge_key(node, static_cast<uint8_t>(c)), next);
      ++edge_count_;
    }
    node = next;
  }
  if (values_[node] == kNoValue) values_[node] = value;
}

uint32_t ByteTrie::child(uint32_t node, uint8_t byte) const {
  const uint64_t mask = edge_keys_.size() - 1;
  const uint64_t key = edge_key(node, byte);
  for (uint64_t slot = edge_hash(key) & mask; edge_keys_[slot] != 0; slot = (slot + 1) & mask)
    if (edge_keys_[slot] == key) return edge_targets_[slot];
  return kNone;
}

ByteTrie::Match ByteTrie::longest(std::string_view text, size_t at) const {
  Match best;
  uint32_t node = kRoot;
  for (size_t i = at; i < text.size(); ++i) {
    node = child(node, static_cast<uint8_t>(text[i]));
    if (node == kNone) break;
    if (values_[node] != kNoValue) best = {i + 1 - at, values_[node]};
  }
  return best;
}

}  // namespace moebius
