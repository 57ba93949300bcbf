// Something that forbids tokens: a grammar. The sampler asks it before its chain and tells
// it which token was accepted. One constraint belongs to one answer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace moebius {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Sets the logit of every forbidden token to minus infinity. logits: [vocab_size].
  // Throws Error(kGrammar) when no token at all is allowed.
  virtual void mask(std::span<float> logits) = 0;
  // Throws Error(kGrammar) when the token is forbidden here.
  virtual void accept(int32_t id) = 0;
  virtual bool allows(int32_t id) const = 0;
  // The answer may end here.
  virtual bool is_complete() const = 0;
  // Back to the start of the answer.
  virtual void reset() = 0;
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
};

}  // namespace moebius
