// Text to token ids and back. A Vocabulary is plain data, filled by model/ from the
// `tokenizer.ggml.*` keys of a GGUF file and not trusted: Tokenizer::create checks all of it.
// A Tokenizer is immutable and may be used by several threads at once; it owns its
// vocabulary and lives as long as the model. A StreamDecoder belongs to one answer and turns
// its ids, one at a time, into pieces of valid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moebius {

// Values of `tokenizer.ggml.token_type`.
enum class TokenType : int32_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // matched in text only with parse_special, not printed by default
  kUserDefined = 4,  // always matched in text
  kUnused = 5,
  kByte = 6,         // "<0xNN>"
};

inline constexpr int32_t kNoToken = -1;

// Field <- GGUF key `tokenizer.ggml.<name>`. Ids are kNoToken when the key is absent;
// tri-state flags are -1 when the key is absent (the default then depends on `model`).
struct Vocabulary {
  std::string model;                 // model: "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), "t5" or "unigram"
  std::string pre;                   // pre: name of the pre-tokeniser, gpt2 only. "" = "default"
  std::vector<std::string> tokens;   // tokens [vocab_size]
  std::vector<float> scores;         // scores [vocab_size], or empty (all 0)
  std::vector<int32_t> token_types;  // token_type [vocab_size], or empty (all normal)
  std::vector<std::string> merges;   // merges: "left right", best first; gpt2 only
  int32_t bos_id = kNoToken;         // bos_token_id
  int32_t eos_id = kNoToken;         // eos_token_id
  int32_t eot_id = kNoToken;         // eot_token_id (end of turn)
  int32_t eom_id = kNoToken;         // eom_token_id (end of message)
  int32_t unk_id = kNoToken;         // unknown_token_id
  int32_t pad_id = kNoToken;         // padding_token_id
  int add_bos = -1;                  // add_bos_token: 1, 0, -1 absent (llama: 1; gpt2, t5: by pre, mostly 0)
  int add_eos = -1;                  // add_eos_token: absent means 0 (t5: 1)
  int add_space_prefix = -1;         // add_space_prefix: absent means 1; gpt2 never adds one
  int remove_extra_whitespaces = -1; // remove_extra_whitespaces: t5 only, absent means 0
  std::string precompiled_charsmap;  // precompiled_charsmap: t5 only, SentencePiece's normaliser table
};

// Bytes [begin, end) of a text.
struct TextSpan {
  size_t begin = 0, end = 0;
};

struct EncodeOptions {
  bool add_special = true;     // put BOS before and EOS after, where the vocabulary says so
  bool parse_special = false;  // match the text of control tokens too (user-defined ones always match)
  // Where no special token of any kind may touch: what somebody else wrote. Ascending, apart.
  // The text is the same without them wherever no special token would have been matched.
  std::span<const TextSpan> literal = {};
};

struct DecodeOptions {
  bool skip_special = true;       // leave out control and unknown tokens
  // SentencePiece models write a space before the text; drop it again. Off for a text that
  // continues another one.
  bool remove_space_prefix = true;
};

class Tokenizer {
 public:
  // Throws Error(kGguf) naming the key for inconsistent data, and Error(kUnsupported) with
  // the supported names for an unknown `model` or `pre`.
  static std::unique_ptr<Tokenizer> create(Vocabulary vocabulary);
  // The names create() accepts for Vocabulary::pre, sorted.
  static std::vector<std::string> supported_pre_tokenizers();

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Any bytes are accepted. Invalid UTF-8 is kept as it is where the vocabulary has tokens
  // for its bytes, else it becomes U+FFFD or the unknown token. Time is O(n log n) in the
  // length of the text, whatever it holds. A special token inside the text is matched
  // leftmost first, longest first; no white space around it is dropped. Throws
  // Error(kBadRequest) for more than 64 MiB at once and for literal spans out of order.
  std::vector<int32_t> encode(std::string_view utf8, EncodeOptions options = {}) const;

  // The bytes of all ids in a row; may be invalid UTF-8 when the ids split a character.
  // Throws Error(kBadRequest) for an id outside [0, vocab_size).
  std::string decode(std::span<const int32_t> ids, DecodeOptions options = {}) const;

  // The bytes one token stands for: the written text of control tokens, "" for unused ones.
  // Valid as long as the tokenizer. Throws Error(kBadRequest) for an id out of range.
  std::string_view token_bytes(int32_t id) const;
  // The token's spelling in the file ("Ġthe", "▁the", "<0x0A>"), for display.
  const std::string& token_text(int32_t id) const;
  TokenType token_type(int32_t id) const;
  float token_score(int32_t id) const;
  // The id whose spelling in the file is exactly `text`, or kNoToken.
  int32_t find_token(std::string_view text) const;
  // Control or unknown: left out of printed text.
  bool is_special(int32_t id) const;

  int32_t vocab_size() const;
  int32_t bos_id() const;
  int32_t eos_id() const;
  int32_t eot_id() const;  // from the key, else a token with a well-known name, else kNoToken
  int32_t eom_id() const;
  int32_t unk_id() const;
  int32_t pad_id() const;
  bool adds_bos() const;
  bool adds_eos() const;
  bool adds_space_prefix() const;  // SentencePiece models: a space is put before the text

  // EOS, EOT, EOM or a token with a well-known name (<|im_end|>, <|eot_id|>, <end_of_turn>, ...).
  bool is_end_of_generation(int32_t id) const;
  // All such ids, ascending.
  const std::vector<int32_t>& end_of_generation_ids() const;

  const std::string& model_name() const;  // "gpt2", "llama", "t5"
  const std::string& pre_name() const;

  struct Impl;

 private:
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Ids in, text out, one at a time. What push() returns is always valid UTF-8: the bytes of a
// character split over tokens are held back until it is complete; bytes that can never
// become a character turn into U+FFFD.
class StreamDecoder {
 public:
  // The tokenizer must outlive the decoder.
  explicit StreamDecoder(const Tokenizer& tokenizer, DecodeOptions options = {});

  // Returns the text completed by this id, often one word, possibly empty.
  // Throws Error(kBadRequest) for an id out of range.
  std::string push(int32_t id);
  // Ends the stream: returns U+FFFD for each maximal broken sequence held back, and resets.
  std::string flush();
  // Bytes held back, 0..3.
  size_t pending_bytes() const { return pending_.size(); }

 private:
  const Tokenizer* tokenizer_;
  DecodeOptions options_;
  bool at_start_ = true;
  std::string pending_;
};

}  // namespace moebius
