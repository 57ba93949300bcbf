// Hash tables for encoding: token text -> id, and a cache of the words of one text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moebius {

// A 64-bit hash with a seed chosen at random when the process starts, so that no vocabulary
// or text can be prepared to collide. It never decides a result, only where things lie.
uint64_t hash_bytes(std::string_view bytes);
uint64_t hash_pair(uint32_t a, uint32_t b);

// Text -> id over texts owned by somebody else, who must outlive the map.
class TokenMap {
 public:
  TokenMap() = default;
  // Ids are indices into texts. Of equal texts the first one counts. Texts whose `included`
  // entry is false, and empty ones, are left out; an empty `included` takes all.
  TokenMap(std::span<const std::string> texts, const std::vector<bool>& included);
  // -1 when absent.
  int32_t find(std::string_view text) const;
  size_t max_length() const { return max_length_; }

 private:
  std::span<const std::string> texts_;
  std::vector<uint64_t> slots_;  // hash's upper half << 32 | id + 1; 0 = free
  size_t max_length_ = 0;
};

// Remembers where in `out` the ids of a word already lie. Direct-mapped, for one text, which
// must outlive the cache.
class WordCache {
 public:
  explicit WordCache(size_t text_bytes);
  // Appends the ids of an earlier equal word to out and returns true; otherwise false.
  bool append_known(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const;
  // The ids of word are out[begin..].
  void remember(std::string_view word, uint64_t hash, size_t begin, const std::vector<int32_t>& out);

 private:
  struct Entry {
    const char* word = nullptr;
    uint32_t length = 0;
    uint32_t count = 0;
    size_t begin = 0;
  };
  std::vector<Entry> entries_;
};

}  // namespace moebius
