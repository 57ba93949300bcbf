// SentencePiece BPE (Llama, Gemma): the text with "▁" for spaces, characters merged by the
// score of the token they make, bytes for what is no token.
#include <algorithm>
#include <array>
#include <queue>
#include <unordered_set>

#include "tokenizer/text_encoder.h"
#include "tokenizer/unicode.h"

namespace moebius {

namespace {

struct Symbol {
  uint32_t begin;
  uint32_t length;  // 0: merged into its left neighbour
  int32_t previous;
  int32_t next;
};

struct Candidate {
  float score;
  uint32_t left;
  uint32_t length;  // of both together, to notice that one has changed
  int32_t right;
  bool operator<(const Candidate& other) const {
    return score != other.score ? score < other.score : left > other.left;
  }
};

class SentencePieceEncoder final : public TextEncoder {
 public:
  explicit SentencePieceEncoder(const CheckedVocabulary& vocabulary) : vocabulary_(vocabulary) {
    std::vector<bool> included(vocabulary.data.tokens.size());
    for (size_t id = 0; id < included.size(); ++id) {
      const TokenType type = vocabulary.types[id];
      // As in SentencePiece itself: plain text never merges into special or byte tokens.
      included[id] = type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused;
    }
    pieces_ = TokenMap(vocabulary.data.tokens, included);
    find_byte_ids();
    find_joining_characters(included);
  }

  void encode(std::string_view text, bool after_special, std::vector<int32_t>& out) const override {
    std::string escaped;
    escaped.reserve(text.size() + text.size() / 4 + kSpaceSymbol.size());
    if (after_special && vocabulary_.add_space_prefix) escaped += kSpaceSymbol;
    for (const char c : text) {
      if (c == ' ') escaped += kSpaceSymbol;
      else escaped.push_back(c);
    }
    WordCache cache(escaped.size());
    Scratch scratch;
    for (std::string_view rest = escaped; !rest.empty();) {
      const std::string_view word = rest.substr(0, word_length(rest));
      rest.remove_prefix(word.size());
      const uint64_t hash = hash_bytes(word);
      if (cache.append_known(word, hash, out)) continue;
      const size_t begin = out.size();
      encode_word(word, scratch, out);
      cache.remember(word, hash, begin, out);
    }
  }

 private:
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  void find_byte_ids() {
    byte_ids_.fill(kNoToken);
    for (int byte = 0; byte < 256; ++byte) {
      byte_ids_[static_cast<size_t>(byte)] =
          vocabulary_.by_text.find(std::string(1, static_cast<char>(byte)));
    }
    for (size_t id = 0; id < vocabulary_.types.size(); ++id)
      if (vocabulary_.types[id] == TokenType::kByte)
        byte_ids_[static_cast<size_t>(parse_byte_token(vocabulary_.data.tokens[id]))] = static_cast<int32_t>(id);
  }

  // The characters some token holds directly before a "▁". No merge can cross the border
  // between any other character and a "▁", so the text may be cut there without changing the
  // result, which keeps heaps small and words repeatable.
  void find_joining_characters(const std::vector<bool>& included) {
    for (size_t id = 0; id < included.size(); ++id) {
      if (!included[id]) continue;
      const std::string_view text = vocabulary_.data.tokens[id];
      uint32_t previous = 0;
      for (size_t at = 0; at < text.size();) {
        const bool space = text.substr(at, kSpaceSymbol.size()) == kSpaceSymbol;
        if (space && at > 0) joining_.insert(previous);
        const CodePoint c = decode_utf8(text, at);
        previous = c.valid ? c.value : kInvalid;
        at += c.bytes;
      }
    }
  }

  size_t word_length(std::string_view text) const {
    uint32_t previous = 0;
    for (size_t at = 0; at < text.size();) {
      if (at >= kMaxWordBytes) return at;
      const bool space = text.substr(at, kSpaceSymbol.size()) == kSpaceSymbol;
      if (space && at > 0 && !joining_.contains(previous)) return at;
      const CodePoint c = decode_utf8(text, at);
      previous = c.valid ? c.value : kInvalid;
      at += c.bytes;
    }
    return text.size();
  }

  void add_candidate(std::string_view word, int32_t left, int32_t right, Scratch& scratch) const {
    if (left < 0 || right < 0) return;
    const Symbol& a = scratch.symbols[static_cast<size_t>(left)];
    const uint32_t length = a.length + scratch.symbols[static_cast<size_t>(right)].length;
    const int32_t id = pieces_.find(word.substr(a.begin, length));
    if (id < 0) return;
    const auto& scores = vocabulary_.data.scores;
    const float score = scores.empty() ? 0.0f : scores[static_cast<size_t>(id)];
    scratch.heap.push_back({score, static_cast<uint32_t>(left), length, right});
    std::push_heap(scratch.heap.begin(), scratch.heap.end());
  }

  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const {
    scratch.symbols.clear();
    scratch.heap.clear();
    for (size_t at = 0; at < word.size();) {
      const uint32_t length = decode_utf8(word, at).bytes;
      const int32_t index = static_cast<int32_t>(scratch.symbols.size());
      scratch.symbols.push_back({static_cast<uint32_t>(at), length, index - 1, index + 1});
      at += length;
    }
    scratch.symbols.back().next = -1;
    for (int32_t i = 1; i < static_cast<int32_t>(scratch.symbols.size()); ++i) add_candidate(word, i - 1, i, scratch);
    while (!scratch.heap.empty()) {
      std::pop_heap(scratch.heap.begin(), scratch.heap.end());
      const Candidate top = scratch.heap.back();
      scratch.heap.pop_back();
      Symbol& left = scratch.symbols[top.left];
      Symbol& right = scratch.symbols[static_cast<size_t>(top.right)];
      if (left.length == 0 || right.length == 0 || left.length + right.length != top.length) continue;
      left.length += right.length;
      right.length = 0;
      left.next = right.next;
      if (right.next >= 0) scratch.symbols[static_cast<size_t>(right.next)].previous = static_cast<int32_t>(top.left);
      add_candidate(word, left.previous, static_cast<int32_t>(top.left), scratch);
      add_candidate(word, static_cast<int32_t>(top.left), left.next, scratch);
    }
    for (const Symbol& symbol : scratch.symbols)
      if (symbol.length > 0) append_symbol(word.substr(symbol.begin, symbol.length), out);
  }

  void append_symbol(std::string_view text, std::vector<int32_t>& out) const {
    const int32_t id = pieces_.find(text);
    if (id >= 0) {
      out.push_back(id);
      return;
    }
    for (const char c : text) {
      const int32_t byte_id = byte_ids_[static_cast<uint8_t>(c)];
      if (byte_id != kNoToken) out.push_back(byte_id);
      else if (vocabulary_.data.unk_id != kNoToken) out.push_back(vocabulary_.data.unk_id);
    }
  }

  static constexpr uint32_t kInvalid = 0xFFFFFFFF;

  const CheckedVocabulary& vocabulary_;
  TokenMap pieces_;
  std::array<int32_t, 256> byte_ids_{};
  std::unordered_set<uint32_t> joining_;
};

}  // namespace

std::unique_ptr<TextEncoder> make_sentence_piece_encoder(const CheckedVocabulary& vocabulary) {
  return std::make_unique<SentencePieceEncoder>(vocabulary);
}

}  // namespace moebius
