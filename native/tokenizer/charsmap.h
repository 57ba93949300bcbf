// SentencePiece's precompiled normaliser: a trie of byte sequences and what each becomes.
// Layout (little-endian): u32 size of the trie in bytes, the trie, then the replacements,
// each ended by a zero byte. The trie is a Darts double array of u32 units: label in bits
// 0-7, has-leaf in bit 8, offset in bits 10-30 (shifted left by 8 more when bit 9 is set);
// a leaf's unit holds the replacement's position in bits 0-30.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moebius {

class Charsmap {
 public:
  Charsmap() = default;
  // Throws Error(kGguf) when the sizes do not fit. An empty blob maps nothing.
  explicit Charsmap(std::string_view blob);

  struct Match {
    size_t length = 0;  // bytes consumed; 0: no rule applies
    std::string_view replacement;
  };
  // The longest rule that text[at..] starts with.
  Match longest(std::string_view text, size_t at) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace moebius
