// The three ways of turning plain text, free of special tokens, into ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/checked_vocabulary.h"

namespace moebius {

class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  // Appends the ids of text. after_special: nothing, or a special token, stands before it.
  virtual void encode(std::string_view text, bool after_special, std::vector<int32_t>& out) const = 0;
};

// A word longer than this is cut, at a character, so that memory stays small on any text.
inline constexpr size_t kMaxWordBytes = 256 * 1024;

// Each keeps a reference to the vocabulary. Throws Error(kGguf) for malformed merges.
std::unique_ptr<TextEncoder> make_byte_bpe_encoder(const CheckedVocabulary& vocabulary);
std::unique_ptr<TextEncoder> make_sentence_piece_encoder(const CheckedVocabulary& vocabulary);
std::unique_ptr<TextEncoder> make_unigram_encoder(const CheckedVocabulary& vocabulary);

// The length of the longest prefix of text of at most `limit` bytes that ends at a character.
size_t prefix_at_character(std::string_view text, size_t limit);

}  // namespace moebius
