// One step of the model: rows of one or several sessions through the decoder at once. The
// tokens are appended to their sessions when, and only when, the step succeeds.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "engine/model_state.h"

namespace moebius {

struct StepPart {
  Session::State* session = nullptr;
  std::span<const int32_t> tokens;  // at least one; ids and room checked by the caller
  WantLogits want_logits = WantLogits::kLast;
  // The last n_drafts tokens are guesses: evaluated, but not appended. keep_draft() appends
  // those that come true, close_step() ends the step for the routing observer.
  int64_t n_drafts = 0;
  float* final_hidden = nullptr;  // [tokens, hidden_size] after the final norm; may be null
};

struct StepOptions {
  Phase phase = Phase::kDecode;
  MlaForm mla_form = MlaForm::kAuto;
  const std::atomic<bool>* cancel = nullptr;
  const HiddenObserver* hidden_observer = nullptr;
};

// logits: the wanted rows in order, [n, vocab_size]. Takes the model's step_mutex.
void run_step(Model::State& model, std::span<const StepPart> parts, const StepOptions& options,
              float* logits);

// The draft behind the session's last token came true: its row is the session's now.
void keep_draft(Session::State& session, int32_t token);
// n_rows of the session's last step with drafts count. Nothing happens without such a step.
void close_step(Session::State& session, int64_t n_rows);

// Throws Error(kBadRequest) for an id outside [0, vocab_size), Error(kContextLength) when n
// more tokens do not fit behind the session's position.
void check_token_ids(const Model::State& model, std::span<const int32_t> tokens);
void check_room(const Session::State& session, int64_t position, int64_t n);

}  // namespace moebius
