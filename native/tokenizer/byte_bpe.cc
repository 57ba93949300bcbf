// Byte-level BPE (GPT-2 and its descendants): words, then bytes, then merges.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/unicode.h"

namespace moebius {

namespace {

class ByteBpeEncoder final : public TextEncoder {
 public:
  explicit ByteBpeEncoder(const CheckedVocabulary& vocabulary)
      : vocabulary_(vocabulary),
        merges_(vocabulary.data.merges, vocabulary.by_text, vocabulary.vocab_size()) {
    if (vocabulary.data.tokens.size() + 3 * vocabulary.data.merges.size() > 0x7FFFFFFF)
      throw Error(ErrorCode::kGguf, "tokenizer.ggml.merges has too many entries");
    for (int byte = 0; byte < 256; ++byte) {
      std::string text;
      append_utf8(text, byte_to_code_point(static_cast<uint8_t>(byte)));
      byte_symbols_[static_cast<size_t>(byte)] = merges_.symbol(text, vocabulary.by_text);
    }
    find_missing_byte_ids();
    if (vocabulary.pre->ignore_merges) find_whole_words();
  }

  void encode(std::string_view text, bool /*after_special*/, std::vector<int32_t>& out) const override {
    WordCache cache(text.size());
    std::vector<int32_t> symbols;
    split_words(vocabulary_.pre->stages, text, [&](std::string_view word) {
      while (word.size() > kMaxWordBytes) {
        const size_t length = prefix_at_character(word, kMaxWordBytes);
        encode_word(word.substr(0, length), symbols, out);
        word.remove_prefix(length);
      }
      const uint64_t hash = hash_bytes(word);
      if (cache.append_known(word, hash, out)) return;
      const size_t begin = out.size();
      encode_word(word, symbols, out);
      cache.remember(word, hash, begin, out);
    });
  }

 private:
  // Llama-3 style: a word that is one token is taken whole, whatever the merges say. Special
  // tokens stay out, or plain text could spell one.
  void find_whole_words() {
    std::vector<bool> included(vocabulary_.data.tokens.size());
    for (size_t id = 0; id < included.size(); ++id) included[id] = vocabulary_.types[id] == TokenType::kNormal;
    whole_words_ = TokenMap(vocabulary_.data.tokens, included);
  }

  // What a byte without a token becomes: U+FFFD if that can be written, else the unknown
  // token, else nothing.
  void find_missing_byte_ids() {
    for (const char byte : kReplacementUtf8) {
      const int32_t id = byte_id(static_cast<uint8_t>(byte));
      if (id == kNoToken) {
        missing_byte_ids_.clear();
        break;
      }
      missing_byte_ids_.push_back(id);
    }
    if (!missing_byte_ids_.empty()) apply_merges(merges_, missing_byte_ids_);
    const bool virtual_symbol = std::any_of(missing_byte_ids_.begin(), missing_byte_ids_.end(),
                                            [&](int32_t id) { return id >= vocabulary_.vocab_size(); });
    if (virtual_symbol) missing_byte_ids_.clear();
    if (missing_byte_ids_.empty() && vocabulary_.data.unk_id != kNoToken) missing_byte_ids_ = {vocabulary_.data.unk_id};
  }

  // The token that prints this byte. Some vocabularies use the spelling of a byte that never
  // occurs in UTF-8 for a user-defined token, which prints something else.
  int32_t byte_id(uint8_t byte) const {
    const int32_t id = byte_symbols_[byte];
    if (id >= vocabulary_.vocab_size()) return kNoToken;
    const std::string_view printed = vocabulary_.token_bytes(id);
    return printed.size() == 1 && static_cast<uint8_t>(printed[0]) == byte ? id : kNoToken;
  }

  void append_byte(uint8_t byte, std::vector<int32_t>& out) const {
    const int32_t id = byte_id(byte);
    if (id != kNoToken) out.push_back(id);
    else out.insert(out.end(), missing_byte_ids_.begin(), missing_byte_ids_.end());
  }

  void encode_word(std::string_view word, std::vector<int32_t>& symbols, std::vector<int32_t>& out) const {
    symbols.clear();
    for (const char c : word) symbols.push_back(byte_symbols_[static_cast<uint8_t>(c)]);
    if (vocabulary_.pre->ignore_merges) {
      std::string spelling;
      for (const char c : word) append_utf8(spelling, byte_to_code_point(static_cast<uint8_t>(c)));
      const int32_t id = whole_words_.find(spelling);
      if (id >= 0) {
        out.push_back(id);
        return;
      }
    }
    apply_merges(merges_, symbols);
    for (const int32_t symbol : symbols) append_symbol(symbol, out);
  }

  // Normal tokens are spelled in GPT-2's alphabet; user-defined ones are spelled as they
  // print, which is the same for ASCII only. Merges must not make control tokens.
  bool prints_its_spelling(int32_t id) const {
    const TokenType type = vocabulary_.type(id);
    if (type != TokenType::kUserDefined) return type != TokenType::kControl && type != TokenType::kUnknown;
    const std::string& text = vocabulary_.data.tokens[static_cast<size_t>(id)];
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
  }

  void append_symbol(int32_t symbol, std::vector<int32_t>& out) const {
    const bool extra = symbol >= vocabulary_.vocab_size();
    if (!extra && prints_its_spelling(symbol)) {
      out.push_back(symbol);
      return;
    }
    const std::string& text = extra ? merges_.extra_text(symbol) : vocabulary_.data.tokens[static_cast<size_t>(symbol)];
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text, at);
      const int byte = code_point_to_byte(c.value);
      if (byte >= 0) append_byte(static_cast<uint8_t>(byte), out);
      at += c.bytes;
    }
  }

  const CheckedVocabulary& vocabulary_;
  MergeTable merges_;
  TokenMap whole_words_;
  std::array<int32_t, 256> byte_symbols_{};
  std::vector<int32_t> missing_byte_ids_;
};

}  // namespace

std::unique_ptr<TextEncoder> make_byte_bpe_encoder(const CheckedVocabulary& vocabulary) {
  return std::make_unique<ByteBpeEncoder>(vocabulary);
}

size_t prefix_at_character(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  size_t length = limit;
  for (int back = 0; back < 3 && length > 1 && (text[length] & 0xC0) == 0x80; ++back) --length;
  return length;
}

}  // namespace moebius
