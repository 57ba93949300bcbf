// The stages that look at the tokens so far: repeat, frequency and presence penalties, and
// DRY ("don't repeat yourself"), which penalises extending a repeated sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sampling/candidates.h"
#include "sampling/sampler.h"

namespace moebius {

// The last n of history; all of it for n < 0.
std::span<const int32_t> last_tokens(std::span<const int32_t> history, int32_t n);

// counts: [vocab_size] zeros, used as scratch and left zero again.
void apply_penalties(Candidates& candidates, const SamplerSettings& settings, std::span<const int32_t> history,
                     std::vector<uint32_t>& counts);

// lengths: [vocab_size] zeros, as above. tokens may be null.
void apply_dry(Candidates& candidates, const SamplerSettings& settings, std::span<const int32_t> history,
               const TokenTable* tokens, std::vector<uint32_t>& lengths);

// How many tokens at the end of history come after the last sequence breaker.
size_t tokens_after_breaker(std::span<const int32_t> history, const std::vector<std::string>& breakers,
                            const TokenTable& tokens);

}  // namespace moebius
