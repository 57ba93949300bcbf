// Who guesses the tokens to come. The scheduler asks before a decode step and evaluates the
// guesses together with the last token; what is reported is always sampled from the trunk's
// logits, so a drafter decides about speed alone. The model's MTP layer is one (MtpDrafter);
// tests bring others through GenerateRequest::drafter.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model_state.h"
#include "sampling/sampler.h"

namespace moebius {

// One generation that could use guesses.
struct DraftTask {
  Session::State* session = nullptr;  // evaluated up to last_token, exclusive
  int32_t last_token = -1;            // sampled, not evaluated
  Sampler* sampler = nullptr;         // as it stands after last_token
  int64_t n_wanted = 0;
  std::vector<int32_t> tokens;  // the guesses: at most n_wanted, the first follows last_token
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  // Fills `tokens` of every task. May throw: the generations then go on without drafts.
  virtual void draft(std::span<DraftTask> tasks) = 0;
};

}  // namespace moebius
