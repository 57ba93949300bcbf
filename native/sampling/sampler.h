// From logits to one token. SamplerSettings is plain data; a Sampler holds one answer's
// state: the tokens seen so far, the grammar's place and mirostat's mu. sample() changes none
// of it, accept() does, so a speculative verify may sample ahead on a clone. The random
// number of a draw depends on (seed, position) alone: the same seed gives the same text with
// and without speculation, after a restored snapshot, and on every machine up to the logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sampling/token_constraint.h"
#include "sampling/token_table.h"

namespace moebius {

// Every stage has an off value, given first in its comment.
struct SamplerSettings {
  float temperature = 0.8f;        // <= 0: greedy, the largest logit, lower id on ties
  int32_t sampling_top_k = 40;     // <= 0 off: keep the k largest
  float top_p = 0.95f;             // >= 1 off: keep the smallest prefix with sum >= p
  float min_p = 0.05f;             // <= 0 off: keep p >= min_p * p_max
  float typical_p = 1.0f;          // >= 1 off: keep those nearest the entropy, sum >= p
  float top_n_sigma = 0.0f;        // <= 0 off: keep l >= l_max - n * std of the finite logits
  float xtc_probability = 0.0f;    // <= 0 off: chance that XTC acts on this token
  float xtc_threshold = 0.1f;      // > 0.5 off: drop all p >= threshold but the least likely of them
  float dry_multiplier = 0.0f;     // <= 0 off: subtract multiplier * base^(len - allowed_length)
  float dry_base = 1.75f;          // < 1 off
  int32_t dry_allowed_length = 2;  // repeats shorter than this are free
  int32_t dry_penalty_last_n = -1; // 0 off, -1 all tokens: how far back repeats are looked for
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
  float repeat_penalty = 1.0f;     // 1 off: l > 0 ? l / r : l * r
  int32_t repeat_last_n = 64;      // 0 off, -1 all tokens: window of the three penalties
  float frequency_penalty = 0.0f;  // 0 off: l -= count * f
  float presence_penalty = 0.0f;   // 0 off: l -= f when count > 0
  std::vector<std::pair<int32_t, float>> logit_bias;  // (id, added to its logit; -infinity bans it)
  bool mirostat = false;           // mirostat v2 in place of the truncating stages
  float mirostat_tau = 5.0f;       // target surprise in bits
  float mirostat_eta = 0.1f;       // learning rate of mu
  uint64_t seed = 0;
  // Names of stages in the order they run; a stage not named does not run. Logit bias and
  // grammar always come first, the draw last. Empty means default_order().
  std::vector<std::string> order;
  int32_t n_probs = 0;             // 0 off: how many of the likeliest tokens to report, and the log-probability of the chosen one

  // penalties, dry, top_n_sigma, sampling_top_k, typical_p, top_p, min_p, xtc, temperature
  static const std::vector<std::string>& default_order();
  // Throws Error(kBadRequest) naming the field for NaN, ids out of range, unknown or repeated
  // stage names. vocab_size bounds the ids of logit_bias.
  void validate(int32_t vocab_size) const;
};

struct TokenProbability {
  int32_t id = -1;
  float logprob = 0;  // natural logarithm, from the raw logits, before any stage
};

struct SampledToken {
  int32_t id = -1;
  std::optional<float> logprob;       // as TokenProbability::logprob; with n_probs only
  std::vector<TokenProbability> top;  // the n_probs likeliest, best first, lower id on ties
};

class Sampler {
 public:
  // tokens: needed for dry_sequence_breakers only, may be null (no breakers then).
  // constraint: may be null. Throws what validate() throws.
  Sampler(SamplerSettings settings, int32_t vocab_size, std::shared_ptr<const TokenTable> tokens = nullptr,
          std::unique_ptr<TokenConstraint> constraint = nullptr);
  ~Sampler();
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;

  // logits: [vocab_size], not changed. position: index in the sequence of the token to be
  // drawn. Throws Error(kBadRequest) for NaN or +infinity or a wrong size, Error(kGrammar)
  // when the grammar leaves no token, Error(kUnsupported) when all tokens are banned.
  SampledToken sample(std::span<const float> logits, int64_t position);
  // The token that sample() would choose from somebody else's logits, a draft's: the same
  // stages, grammar and random number, so that a good guess of the distribution is a good
  // guess of the draw. Throws as sample().
  int32_t guess(std::span<const float> logits, int64_t position);

  // The token becomes part of the answer. Throws Error(kGrammar) if the grammar forbids it.
  void accept(int32_t id);
  // Prompt tokens: they count for the penalties, not for the grammar.
  void accept_prompt(std::span<const int32_t> ids);
  // Forgets all tokens; the grammar starts over.
  void reset();

  // A copy with the same state; sampling and accepting on it leaves this one alone.
  std::unique_ptr<Sampler> clone() const;
  // State only, not the settings: restore it into a sampler with equal settings and grammar.
  std::vector<uint8_t> save_state() const;
  // Throws Error(kBadRequest) for bytes save_state() did not write.
  void restore_state(std::span<const uint8_t> state);

  const SamplerSettings& settings() const;
  // May be null. The sampler keeps it.
  const TokenConstraint* constraint() const;
  // Prompt and answer, oldest first.
  std::span<const int32_t> history() const;

 private:
  struct Impl;
  explicit Sampler(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Log-probability of `id` under softmax(logits): f32 exponentials, f64 sum. For perplexity
// and scoring. Throws Error(kBadRequest) for NaN logits or an id out of range.
float token_logprob(std::span<const float> logits, int32_t id);

}  // namespace moebius
