// Fuzzes vocabularies and texts: the first bytes make up a small vocabulary, the rest is the
// text. Nothing but Error may be thrown; byte-level BPE must give the text back where every
// byte has a token.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "tokenizer/checked_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  uint8_t byte() { return at_ < size_ ? data_[at_++] : 0; }
  std::string text(size_t limit) {
    std::string out;
    for (size_t length = byte() % limit; length > 0 && at_ < size_; --length) out.push_back(static_cast<char>(byte()));
    return out;
  }
  std::string rest() { return {reinterpret_cast<const char*>(data_) + at_, size_ - at_}; }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

moebius::Vocabulary make_vocabulary(Input& input, bool& all_bytes) {
  moebius::Vocabulary v;
  const uint8_t kind = input.byte();
  const char* models[] = {"gpt2", "llama", "t5", "gpt2"};
  v.model = models[kind % 4];
  const auto pres = moebius::Tokenizer::supported_pre_tokenizers();
  v.pre = pres[input.byte() % pres.size()];
  all_bytes = v.model == "gpt2" && (kind & 16);
  if (all_bytes)
    for (int byte = 0; byte < 256; ++byte) {
      std::string text;
      moebius::append_utf8(text, moebius::byte_to_code_point(static_cast<uint8_t>(byte)));
      v.tokens.push_back(text);
    }
  const size_t n_bytes = v.tokens.size();
  for (size_t n = input.byte() % 24; n > 0; --n) v.tokens.push_back(input.text(12));
  if (kind & 32) {
    v.token_types.assign(v.tokens.size(), 1);
    for (size_t i = n_bytes; i < v.tokens.size(); ++i) v.token_types[i] = input.byte() % 8;
  }
  if (kind & 64)
    for (size_t i = 0; i < v.tokens.size(); ++i) v.scores.push_back(static_cast<float>(input.byte()) - 128.0f);
  for (size_t n = input.byte() % 16; n > 0; --n) v.merges.push_back(input.text(10));
  int32_t* ids[] = {&v.bos_id, &v.eos_id, &v.unk_id, &v.pad_id};
  for (int32_t* id : ids) *id = static_cast<int32_t>(input.byte() % 40) - 1;
  v.add_space_prefix = static_cast<int>(input.byte() % 3) - 1;
  v.remove_extra_whitespaces = static_cast<int>(input.byte() % 3) - 1;
  if (kind & 128) v.precompiled_charsmap = input.text(200);
  return v;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  bool all_bytes = false;
  try {
    const auto tokenizer = moebius::Tokenizer::create(make_vocabulary(input, all_bytes));
    const std::string text = input.rest();
    for (const bool parse_special : {false, true}) {
      const auto ids = tokenizer->encode(text, {.add_special = true, .parse_special = parse_special});
      const std::string decoded = tokenizer->decode(ids);
      moebius::StreamDecoder stream(*tokenizer);
      std::string streamed;
      for (const int32_t id : ids) streamed += stream.push(id);
      streamed += stream.flush();
      if (streamed != moebius::to_valid_utf8(decoded)) std::abort();
      // Fuzzed tokens may be of types that hide or change what they spell.
      const bool plain = tokenizer->vocab_size() == 256;
      const moebius::TextSpan all{0, text.size()};
      const auto literal = tokenizer->encode(text, {.add_special = false, .parse_special = parse_special, .literal = {&all, 1}});
      if (all_bytes && plain && tokenizer->decode(literal, {.skip_special = false}) != text) std::abort();
      if (all_bytes && plain && !parse_special && tokenizer->decode(tokenizer->encode(text, {.add_special = false})) != text) std::abort();
    }
  } catch (const moebius::Error&) {
  }
  return 0;
}
