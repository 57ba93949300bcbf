#include "tokenizer/checked_vocabulary.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "tokenizer/end_of_generation.h"
#include "tokenizer/unicode.h"

namespace moebius {

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

VocabularyModel parse_model(const std::string& name) {
  if (name == "gpt2") return VocabularyModel::kByteBpe;
  if (name == "llama") return VocabularyModel::kSentencePiece;
  if (name == "t5" || name == "unigram") return VocabularyModel::kUnigram;
  throw Error(ErrorCode::kUnsupported,
              format_text("tokenizer.ggml.model is '%.60s'; supported are gpt2, llama, t5, unigram", name.c_str()));
}

const PreTokenizer* parse_pre(const std::string& name) {
  const PreTokenizer* pre = find_pre_tokenizer(name);
  if (pre) return pre;
  throw Error(ErrorCode::kUnsupported,
              format_text("tokenizer.ggml.pre is '%.60s', which is not a known pre-tokeniser; supported are %s",
                          name.c_str(), joined(pre_tokenizer_names()).c_str()),
              "Convert the model again with a current converter, or override tokenizer.ggml.pre with the right name.");
}

void check_count(const char* key, size_t count, size_t vocab_size) {
  if (count != 0 && count != vocab_size)
    throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.%s has %zu entries, expected %zu as in tokenizer.ggml.tokens",
                                              key, count, vocab_size));
}

void check_tokens(const Vocabulary& v) {
  if (v.tokens.empty()) throw Error(ErrorCode::kGguf, "tokenizer.ggml.tokens is empty or missing");
  if (v.tokens.size() > 0x7FFFFFFF / 4)
    throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.tokens has %zu entries, too many", v.tokens.size()));
  check_count("scores", v.scores.size(), v.tokens.size());
  check_count("token_type", v.token_types.size(), v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (v.tokens[i].size() > kMaxTokenBytes)
      throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.tokens[%zu] is %zu bytes long, the limit is %zu", i,
                                                v.tokens[i].size(), kMaxTokenBytes));
  for (size_t i = 0; i < v.scores.size(); ++i)
    if (std::isnan(v.scores[i]))
      throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.scores[%zu] is not a number", i));
}

void check_id(const char* key, int32_t id, size_t vocab_size) {
  if (id == kNoToken) return;
  if (id < 0 || static_cast<size_t>(id) >= vocab_size)
    throw Error(ErrorCode::kGguf,
                format_text("tokenizer.ggml.%s is %d, outside the vocabulary of %zu tokens", key, id, vocab_size));
}

// SentencePiece files may leave out the ids every such model shares.
void fill_default_ids(Vocabulary& v, VocabularyModel model) {
  const auto fill = [&](int32_t& id, int32_t value) {
    if (id == kNoToken && static_cast<size_t>(value) < v.tokens.size()) id = value;
  };
  if (model == VocabularyModel::kSentencePiece) {
    fill(v.bos_id, 1);
    fill(v.eos_id, 2);
    fill(v.unk_id, 0);
  } else if (model == VocabularyModel::kUnigram) {
    fill(v.pad_id, 0);
    fill(v.eos_id, 1);
    fill(v.unk_id, 2);
  }
}

void check_ids(const Vocabulary& v) {
  const size_t n = v.tokens.size();
  check_id("bos_token_id", v.bos_id, n);
  check_id("eos_token_id", v.eos_id, n);
  check_id("eot_token_id", v.eot_id, n);
  check_id("eom_token_id", v.eom_id, n);
  check_id("unknown_token_id", v.unk_id, n);
  check_id("padding_token_id", v.pad_id, n);
}

std::vector<TokenType> parse_types(const Vocabulary& v) {
  std::vector<TokenType> types(v.tokens.size(), TokenType::kNormal);
  for (size_t i = 0; i < v.token_types.size(); ++i) {
    const int32_t type = v.token_types[i];
    if (type < 0 || type > static_cast<int32_t>(TokenType::kByte))
      throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.token_type[%zu] is %d, expected 0..6", i, type));
    types[i] = type == 0 ? TokenType::kNormal : static_cast<TokenType>(type);
    if (types[i] == TokenType::kByte && parse_byte_token(v.tokens[i]) < 0)
      throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.tokens[%zu] is marked as a byte but is not spelled <0xNN>", i));
    // No text can hold an empty token.
    if (v.tokens[i].empty() && types[i] != TokenType::kControl) types[i] = TokenType::kUnused;
  }
  return types;
}

void check_special_lengths(const CheckedVocabulary& c) {
  for (size_t i = 0; i < c.types.size(); ++i) {
    const bool special = c.types[i] == TokenType::kControl || c.types[i] == TokenType::kUserDefined;
    if (special && c.data.tokens[i].size() > kMaxSpecialTokenBytes)
      throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.tokens[%zu] is a special token of %zu bytes, the limit is %zu",
                                                i, c.data.tokens[i].size(), kMaxSpecialTokenBytes));
  }
}

void append_token_bytes(const CheckedVocabulary& c, size_t id, std::string& out) {
  const std::string& text = c.data.tokens[id];
  switch (c.types[id]) {
    case TokenType::kUnused:
      return;
    case TokenType::kByte:
      out.push_back(static_cast<char>(parse_byte_token(text)));
      return;
    case TokenType::kControl:
    case TokenType::kUnknown:
    case TokenType::kUserDefined:
      out += text;
      return;
    default:
      break;
  }
  if (c.model == VocabularyModel::kByteBpe) {
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = decode_utf8(text, at);
      const int byte = point.valid ? code_point_to_byte(point.value) : -1;
      if (byte >= 0) out.push_back(static_cast<char>(byte));
      else out.append(text, at, point.bytes);  // added tokens may be spelled plainly
      at += point.bytes;
    }
    return;
  }
  for (size_t at = 0; at < text.size();) {
    if (text.compare(at, kSpaceSymbol.size(), kSpaceSymbol) == 0) {
      out.push_back(' ');
      at += kSpaceSymbol.size();
    } else {
      out.push_back(text[at++]);
    }
  }
}

void fill_token_bytes(CheckedVocabulary& c) {
  c.bytes_offsets.reserve(c.data.tokens.size() + 1);
  c.bytes_offsets.push_back(0);
  for (size_t id = 0; id < c.data.tokens.size(); ++id) {
    append_token_bytes(c, id, c.bytes);
    if (c.bytes.size() > 0x7FFFFFFF) throw Error(ErrorCode::kGguf, "tokenizer.ggml.tokens is larger than 2 GiB");
    c.bytes_offsets.push_back(static_cast<uint32_t>(c.bytes.size()));
  }
}

void fill_flags(CheckedVocabulary& c) {
  const Vocabulary& v = c.data;
  const bool sentence_piece = c.model == VocabularyModel::kSentencePiece;
  const bool default_bos = sentence_piece || (c.pre && c.pre->add_bos);
  const bool default_eos = c.model == VocabularyModel::kUnigram;
  if (v.add_bos > 0 && v.bos_id == kNoToken)
    throw Error(ErrorCode::kGguf, "tokenizer.ggml.add_bos_token is true but tokenizer.ggml.bos_token_id is missing");
  if (v.add_eos > 0 && v.eos_id == kNoToken)
    throw Error(ErrorCode::kGguf, "tokenizer.ggml.add_eos_token is true but tokenizer.ggml.eos_token_id is missing");
  c.add_bos = (v.add_bos < 0 ? default_bos : v.add_bos > 0) && v.bos_id != kNoToken;
  c.add_eos = (v.add_eos < 0 ? default_eos : v.add_eos > 0) && v.eos_id != kNoToken;
  // Byte-level BPE never adds a space, whatever the key says (some converters write it).
  c.add_space_prefix = c.model != VocabularyModel::kByteBpe && v.add_space_prefix != 0;
}

}  // namespace

uint32_t byte_to_code_point(uint8_t byte) {
  if ((byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE) return byte;
  // The others follow from U+0100 in ascending order: 0..0x20, 0x7F..0xA0, 0xAD.
  if (byte <= 0x20) return 0x100u + byte;
  if (byte <= 0xA0) return 0x121u + (byte - 0x7Fu);
  return 0x143u;
}

int code_point_to_byte(uint32_t code_point) {
  if (code_point >= 0x100 && code_point <= 0x120) return static_cast<int>(code_point - 0x100);
  if (code_point >= 0x121 && code_point <= 0x142) return static_cast<int>(code_point - 0x121 + 0x7F);
  if (code_point == 0x143) return 0xAD;
  if (code_point > 0xFF) return -1;
  return byte_to_code_point(static_cast<uint8_t>(code_point)) == code_point ? static_cast<int>(code_point) : -1;
}

int parse_byte_token(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void check_vocabulary(Vocabulary vocabulary, CheckedVocabulary& c) {
  c.data = std::move(vocabulary);
  c.model = parse_model(c.data.model);
  if (c.model == VocabularyModel::kByteBpe) c.pre = parse_pre(c.data.pre);
  check_tokens(c.data);
  check_ids(c.data);
  fill_default_ids(c.data, c.model);
  c.types = parse_types(c.data);
  c.by_text = TokenMap(c.data.tokens, {});
  find_end_of_generation(c);
  check_special_lengths(c);
  fill_flags(c);
  fill_token_bytes(c);
}

}  // namespace moebius
