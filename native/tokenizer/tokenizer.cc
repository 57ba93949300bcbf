#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/checked_vocabulary.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/unicode.h"

namespace moebius {

struct Tokenizer::Impl {
  CheckedVocabulary vocabulary;
  std::unique_ptr<TextEncoder> encoder;
  ByteTrie user_defined;  // always matched
  ByteTrie all_special;   // with control tokens, for parse_special

  void check_id(int32_t id) const {
    if (id < 0 || id >= vocabulary.vocab_size())
      throw Error(ErrorCode::kBadRequest,
                  format_text("token id %d is outside the vocabulary of %d tokens", id, vocabulary.vocab_size()));
  }
};

namespace {

constexpr size_t kMaxTextBytes = 64 * 1024 * 1024;

std::unique_ptr<TextEncoder> make_encoder(const CheckedVocabulary& vocabulary) {
  switch (vocabulary.model) {
    case VocabularyModel::kByteBpe: return make_byte_bpe_encoder(vocabulary);
    case VocabularyModel::kSentencePiece: return make_sentence_piece_encoder(vocabulary);
    case VocabularyModel::kUnigram: return make_unigram_encoder(vocabulary);
  }
  throw Error(ErrorCode::kInternal, "unknown tokenizer model");
}

bool is_hidden(TokenType type) { return type == TokenType::kControl || type == TokenType::kUnknown; }

void fill_special_tries(Tokenizer::Impl& impl) {
  const CheckedVocabulary& v = impl.vocabulary;
  for (int32_t id = 0; id < v.vocab_size(); ++id) {
    const std::string& text = v.data.tokens[static_cast<size_t>(id)];
    if (text.empty() || text.size() > kMaxSpecialTokenBytes) continue;
    if (v.type(id) == TokenType::kUserDefined) impl.user_defined.insert(text, id);
    if (v.type(id) == TokenType::kUserDefined || is_hidden(v.type(id))) impl.all_special.insert(text, id);
  }
}

void check_literal(std::span<const TextSpan> literal, size_t n_bytes) {
  size_t end = 0;
  for (const TextSpan& span : literal) {
    if (span.begin < end || span.end < span.begin || span.end > n_bytes)
      throw Error(ErrorCode::kBadRequest, format_text("literal: expected ascending spans within %zu bytes, got [%zu, %zu)",
                                                      n_bytes, span.begin, span.end));
    end = span.end;
  }
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::create(Vocabulary vocabulary) {
  auto impl = std::make_unique<Impl>();
  check_vocabulary(std::move(vocabulary), impl->vocabulary);
  impl->encoder = make_encoder(impl->vocabulary);
  impl->vocabulary.data.merges = {};
  fill_special_tries(*impl);
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<std::string> Tokenizer::supported_pre_tokenizers() { return pre_tokenizer_names(); }

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view utf8, EncodeOptions options) const {
  if (utf8.size() > kMaxTextBytes)
    throw Error(ErrorCode::kBadRequest, format_text("text is %zu bytes long, the limit is %zu", utf8.size(), kMaxTextBytes),
                "Tokenise it in parts.");
  check_literal(options.literal, utf8.size());
  const CheckedVocabulary& v = impl_->vocabulary;
  const ByteTrie& special = options.parse_special ? impl_->all_special : impl_->user_defined;
  std::vector<int32_t> ids;
  if (options.add_special && v.add_bos) ids.push_back(v.data.bos_id);
  bool after_special = true;
  size_t plain_begin = 0;
  const auto encode_plain = [&](size_t end) {
    if (end == plain_begin) return;
    impl_->encoder->encode(utf8.substr(plain_begin, end - plain_begin), after_special, ids);
    after_special = false;
  };
  // The leftmost special token wins, and of those the longest that ends before a literal span.
  auto literal = options.literal.begin();
  for (size_t at = 0; !special.empty() && at < utf8.size();) {
    while (literal != options.literal.end() && (literal->end <= at || literal->begin == literal->end)) ++literal;
    const size_t limit = literal != options.literal.end() ? literal->begin : utf8.size();
    if (limit <= at) {
      at = literal->end;
      continue;
    }
    const uint8_t byte = static_cast<uint8_t>(utf8[at]);
    const ByteTrie::Match match =
        special.starts_with(byte) ? special.longest(utf8.substr(0, limit), at) : ByteTrie::Match{};
    if (match.length == 0) {
      ++at;
      continue;
    }
    encode_plain(at);
    ids.push_back(match.value);
    after_special = true;
    at += match.length;
    plain_begin = at;
  }
  encode_plain(utf8.size());
  if (options.add_special && v.add_eos) ids.push_back(v.data.eos_id);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, DecodeOptions options) const {
  std::string text;
  bool at_start = options.remove_space_prefix && impl_->vocabulary.add_space_prefix;
  for (const int32_t id : ids) {
    impl_->check_id(id);
    if (is_hidden(impl_->vocabulary.type(id))) {
      if (!options.skip_special) text += impl_->vocabulary.token_bytes(id);
      continue;
    }
    std::string_view bytes = impl_->vocabulary.token_bytes(id);
    if (at_start && !bytes.empty() && bytes[0] == ' ') bytes.remove_prefix(1);
    at_start = false;
    text += bytes;
  }
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  impl_->check_id(id);
  return impl_->vocabulary.token_bytes(id);
}

const std::string& Tokenizer::token_text(int32_t id) const {
  impl_->check_id(id);
  return impl_->vocabulary.data.tokens[static_cast<size_t>(id)];
}

TokenType Tokenizer::token_type(int32_t id) const {
  impl_->check_id(id);
  return impl_->vocabulary.type(id);
}

float Tokenizer::token_score(int32_t id) const {
  impl_->check_id(id);
  const auto& scores = impl_->vocabulary.data.scores;
  return scores.empty() ? 0.0f : scores[static_cast<size_t>(id)];
}

int32_t Tokenizer::find_token(std::string_view text) const { return impl_->vocabulary.by_text.find(text); }
bool Tokenizer::is_special(int32_t id) const { return is_hidden(token_type(id)); }
int32_t Tokenizer::vocab_size() const { return impl_->vocabulary.vocab_size(); }
int32_t Tokenizer::bos_id() const { return impl_->vocabulary.data.bos_id; }
int32_t Tokenizer::eos_id() const { return impl_->vocabulary.data.eos_id; }
int32_t Tokenizer::eot_id() const { return impl_->vocabulary.data.eot_id; }
int32_t Tokenizer::eom_id() const { return impl_->vocabulary.data.eom_id; }
int32_t Tokenizer::unk_id() const { return impl_->vocabulary.data.unk_id; }
int32_t Tokenizer::pad_id() const { return impl_->vocabulary.data.pad_id; }
bool Tokenizer::adds_bos() const { return impl_->vocabulary.add_bos; }
bool Tokenizer::adds_eos() const { return impl_->vocabulary.add_eos; }

bool Tokenizer::is_end_of_generation(int32_t id) const {
  const auto& ids = impl_->vocabulary.end_of_generation;
  return std::binary_search(ids.begin(), ids.end(), id);
}

const std::vector<int32_t>& Tokenizer::end_of_generation_ids() const { return impl_->vocabulary.end_of_generation; }
bool Tokenizer::adds_space_prefix() const { return impl_->vocabulary.add_space_prefix; }
const std::string& Tokenizer::model_name() const { return impl_->vocabulary.data.model; }
const std::string& Tokenizer::pre_name() const { return impl_->vocabulary.data.pre; }

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, DecodeOptions options)
    : tokenizer_(&tokenizer), options_(options) {}

std::string StreamDecoder::push(int32_t id) {
  std::string_view bytes = tokenizer_->token_bytes(id);
  if (tokenizer_->is_special(id)) {
    if (options_.skip_special) return {};
  } else {
    const bool strip = at_start_ && options_.remove_space_prefix && tokenizer_->adds_space_prefix();
    if (strip && !bytes.empty() && bytes[0] == ' ') bytes.remove_prefix(1);
    at_start_ = false;
  }
  pending_ += bytes;
  const size_t held_back = incomplete_utf8_tail(pending_);
  std::string text = to_valid_utf8(std::string_view(pending_).substr(0, pending_.size() - held_back));
  pending_.erase(0, pending_.size() - held_back);
  return text;
}

std::string StreamDecoder::flush() {
  std::string text = to_valid_utf8(pending_);
  pending_.clear();
  at_start_ = true;
  return text;
}

}  // namespace moebius
