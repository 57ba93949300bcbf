// A Vocabulary after every check has passed: counts agree, ids are in range, defaults are
// filled in, and each token's bytes are worked out. The encoders are built from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/token_map.h"
#include "tokenizer/tokenizer.h"

namespace moebius {

enum class VocabularyModel { kByteBpe, kSentencePiece, kUnigram };

// "▁", which SentencePiece writes for a space.
inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";
// Tokens longer than this are refused: they bound the work per character of any text.
inline constexpr size_t kMaxTokenBytes = 2048;
// Control and user-defined tokens, which are looked for at every place of a text.
inline constexpr size_t kMaxSpecialTokenBytes = 512;

struct CheckedVocabulary {
  Vocabulary data;  // merges are dropped once an encoder has been built
  VocabularyModel model = VocabularyModel::kByteBpe;
  const PreTokenizer* pre = nullptr;       // byte-level BPE only
  std::vector<TokenType> types;            // [vocab_size]
  std::vector<int32_t> end_of_generation;  // ascending
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;
  std::string bytes;                    // what the tokens print, one after the other
  std::vector<uint32_t> bytes_offsets;  // [vocab_size + 1] into bytes
  TokenMap by_text;                     // all tokens

  int32_t vocab_size() const { return static_cast<int32_t>(data.tokens.size()); }
  TokenType type(int32_t id) const { return types[static_cast<size_t>(id)]; }
  std::string_view token_bytes(int32_t id) const {
    const uint32_t begin = bytes_offsets[static_cast<size_t>(id)];
    return std::string_view(bytes).substr(begin, bytes_offsets[static_cast<size_t>(id) + 1] - begin);
  }
};

// Throws Error(kGguf) or Error(kUnsupported), see Tokenizer::create.
void check_vocabulary(Vocabulary vocabulary, CheckedVocabulary& checked);

// GPT-2's alphabet: each byte is written as one printable character.
uint32_t byte_to_code_point(uint8_t byte);
// The byte a character of that alphabet stands for, or -1.
int code_point_to_byte(uint32_t code_point);
// The byte a "<0xNN>" token stands for, or -1 if the text is no such token.
int parse_byte_token(std::string_view text);

}  // namespace moebius
