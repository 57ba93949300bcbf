// SentencePiece unigram (T5): the segmentation with the largest sum of scores, by Viterbi.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/unicode.h"

namespace moebius {

namespace {

constexpr float kUnknownPenalty = 10.0f;
// Bounds the work per character; SentencePiece's own pieces have at most 16 characters.
constexpr size_t kMaxPieceBytes = 512;

class UnigramEncoder final : public TextEncoder {
 public:
  explicit UnigramEncoder(const CheckedVocabulary& vocabulary)
      : vocabulary_(vocabulary), charsmap_(vocabulary.data.precompiled_charsmap) {
    if (vocabulary.data.unk_id == kNoToken)
      throw Error(ErrorCode::kGguf, "tokenizer.ggml.unknown_token_id is missing, which a unigram model needs");
    float lowest = 0;
    for (size_t id = 0; id < vocabulary.types.size(); ++id) {
      const TokenType type = vocabulary.types[id];
      const std::string& text = vocabulary.data.tokens[id];
      if (type == TokenType::kNormal) lowest = std::min(lowest, score(static_cast<int32_t>(id)));
      const bool piece = type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused;
      if (piece && !text.empty() && text.size() <= kMaxPieceBytes) pieces_.insert(text, static_cast<int32_t>(id));
      if (type == TokenType::kUserDefined && !text.empty()) user_defined_.insert(text, static_cast<int32_t>(id));
    }
    unknown_score_ = lowest - kUnknownPenalty;
  }

  void encode(std::string_view text, bool /*after_special*/, std::vector<int32_t>& out) const override {
    const std::string normalized = normalize(text);
    // Pieces may span words, so only texts beyond the limit are cut.
    for (std::string_view rest = normalized; !rest.empty();) {
      const size_t length = prefix_at_character(rest, kMaxWordBytes);
      segment(rest.substr(0, length), out);
      rest.remove_prefix(length);
    }
  }

 private:
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    int32_t id = kNoToken;
    uint32_t begin = 0;
  };

  float score(int32_t id) const {
    const auto& scores = vocabulary_.data.scores;
    return scores.empty() ? 0.0f : scores[static_cast<size_t>(id)];
  }

  // Normalised text with "▁" for spaces.
  std::string normalize(std::string_view text) const {
    const bool merge_spaces = vocabulary_.data.remove_extra_whitespaces > 0;
    std::string out;
    bool in_word = false, prefixed = false;
    const auto append = [&](std::string_view piece) {
      for (const char c : piece) {
        if (c == ' ') {
          in_word = false;
          if (!merge_spaces) out += kSpaceSymbol;
          continue;
        }
        if (!in_word && ((vocabulary_.add_space_prefix && !prefixed) || merge_spaces)) {
          out += kSpaceSymbol;
          prefixed = true;
        }
        in_word = true;
        out.push_back(c);
      }
    };
    for (size_t at = 0; at < text.size();) {
      const ByteTrie::Match kept = user_defined_.longest(text, at);
      if (kept.length > 0) {
        append(text.substr(at, kept.length));
        at += kept.length;
        continue;
      }
      const Charsmap::Match rule = charsmap_.longest(text, at);
      if (rule.length > 0) {
        append(rule.replacement);
        at += rule.length;
        continue;
      }
      const CodePoint c = decode_utf8(text, at);
      append(c.valid ? text.substr(at, c.bytes) : kReplacementUtf8);
      at += c.bytes;
    }
    return out;
  }

  void segment(std::string_view text, std::vector<int32_t>& out) const {
    std::vector<Best> best(text.size() + 1);  // best[i]: of text[0, i)
    best[0].score = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t character = decode_utf8(text, at).bytes;
      bool whole_character = false;
      uint32_t node = ByteTrie::kRoot;
      for (size_t end = at; end < text.size();) {
        node = pieces_.child(node, static_cast<uint8_t>(text[end++]));
        if (node == ByteTrie::kNone) break;
        const int32_t id = pieces_.value(node);
        if (id == ByteTrie::kNoValue) continue;
        whole_character = whole_character || end - at == character;
        const double piece_score = vocabulary_.type(id) == TokenType::kUserDefined ? 0.0 : score(id);
        improve(best[end], best[at].score + piece_score, id, at);
      }
      if (!whole_character) improve(best[at + character], best[at].score + unknown_score_, vocabulary_.data.unk_id, at);
      at += character;
    }
    append_best(best, out);
  }

  static void improve(Best& best, double score, int32_t id, size_t begin) {
    if (score > best.score) best = {score, id, static_cast<uint32_t>(begin)};
  }

  // Follows the best path back; unknown characters in a row become one unknown token.
  void append_best(const std::vector<Best>& best, std::vector<int32_t>& out) const {
    const size_t begin = out.size();
    bool unknown_before = false;
    for (size_t end = best.size() - 1; end > 0; end = best[end].begin) {
      const bool unknown = best[end].id == vocabulary_.data.unk_id;
      if (!(unknown && unknown_before)) out.push_back(best[end].id);
      unknown_before = unknown;
    }
    std::reverse(out.begin() + static_cast<ptrdiff_t>(begin), out.end());
  }

  const CheckedVocabulary& vocabulary_;
  Charsmap charsmap_;
  ByteTrie pieces_;
  ByteTrie user_defined_;
  float unknown_score_ = 0;
};

}  // namespace

std::unique_ptr<TextEncoder> make_unigram_encoder(const CheckedVocabulary& vocabulary) {
  return std::make_unique<UnigramEncoder>(vocabulary);
}

}  // namespace moebius
