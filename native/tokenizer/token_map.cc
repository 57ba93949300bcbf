#include "tokenizer/token_map.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace moebius {

namespace {

uint64_t mix(uint64_t value) {
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93ull;
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93ull;
  return value ^ value >> 32;
}

uint64_t process_seed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  }();
  return seed;
}

}  // namespace

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = process_seed() ^ bytes.size() * 0x9E3779B97F4A7C15ull;
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    hash = mix(hash ^ word);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, bytes.data() + at, bytes.size() - at);
  return mix(hash ^ tail);
}

uint64_t hash_pair(uint32_t a, uint32_t b) { return mix(process_seed() ^ (static_cast<uint64_t>(a) << 32 | b)); }

TokenMap::TokenMap(std::span<const std::string> texts, const std::vector<bool>& included)
    : texts_(texts), slots_(std::bit_ceil(std::max<size_t>(texts.size() * 2, 16))) {
  const uint64_t mask = slots_.size() - 1;
  for (size_t id = 0; id < texts.size(); ++id) {
    if (texts[id].empty() || (!included.empty() && !included[id]) || find(texts[id]) >= 0) continue;
    const uint64_t hash = hash_bytes(texts[id]);
    uint64_t slot = hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = (hash >> 32 << 32) | (id + 1);
    max_length_ = std::max(max_length_, texts[id].size());
  }
}

int32_t TokenMap::find(std::string_view text) const {
  if (slots_.empty() || text.empty() || text.size() > max_length_) return -1;
  const uint64_t mask = slots_.size() - 1;
  const uint64_t hash = hash_bytes(text);
  for (uint64_t slot = hash & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if (slots_[slot] >> 32 != hash >> 32) continue;
    const uint32_t id = static_cast<uint32_t>(slots_[slot]) - 1;
    if (texts_[id] == text) return static_cast<int32_t>(id);
  }
  return -1;
}

WordCache::WordCache(size_t text_bytes)
    : entries_(std::bit_ceil(std::clamp<size_t>(text_bytes / 8, 16, 8192))) {}

bool WordCache::append_known(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const {
  const Entry& entry = entries_[hash & (entries_.size() - 1)];
  if (entry.length != word.size() || std::memcmp(entry.word, word.data(), word.size()) != 0) return false;
  for (size_t i = 0; i < entry.count; ++i) out.push_back(out[entry.begin + i]);
  return true;
}

void WordCache::remember(std::string_view word, uint64_t hash, size_t begin, const std::vector<int32_t>& out) {
  entries_[hash & (entries_.size() - 1)] = {word.data(), static_cast<uint32_t>(word.size()),
                                            static_cast<uint32_t>(out.size() - begin), begin};
}

}  // namespace moebius
