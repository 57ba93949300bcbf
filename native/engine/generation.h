// One request on its way through the scheduler: prompt, sampler, text, numbers. Used by the
// worker thread alone, except for `cancelled`.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/drafter.h"
#include "engine/model_state.h"
#include "engine/scheduler.h"
#include "engine/step.h"

namespace moebius {

class Generation {
 public:
  // Checks the request and takes the session. Throws what Scheduler::submit documents.
  Generation(uint64_t id, const Model::State& model, GenerateRequest request);

  uint64_t id() const { return id_; }
  std::atomic<bool>& cancelled() { return cancelled_; }
  Session::State& session() { return request_.session->state(); }
  bool is_prefilling() const { return n_prompt_done_ < static_cast<int64_t>(request_.prompt.size()); }
  bool is_ended() const { return ended_; }

  // Before the first prefill step: keeps the common prefix of session and prompt.
  void begin();
  bool has_begun() const { return begun_; }
  // The next chunk of the prompt.
  std::span<const int32_t> next_chunk() const;
  bool chunk_is_last() const;
  // One uncached token is a decode step, as in Session::evaluate; a last chunk of one is not.
  Phase prompt_phase() const;
  void chunk_done(int64_t n_tokens);

  // Logits after the last prompt token: samples, reports, and ends the request when that was
  // its last token.
  void take_logits(std::span<const float> logits, double step_ms);

  // Guesses that the next decode step could carry: 0 when they would not pay or not fit.
  int64_t drafts_wanted() const;
  DraftTask draft_task(int64_t n_wanted);
  Drafter* own_drafter() const { return request_.draft.drafter.get(); }
  // Null when this request does not draft with the model's layer; else where the step puts
  // the states of its n_rows next tokens.
  float* hidden_room(int64_t n_rows);
  bool collects_hidden() const;
  void set_drafts(std::span<const int32_t> tokens);
  void drop_drafts() { step_tokens_.clear(); }
  void drafting_failed() { draft_rule_.fail(); }
  size_t n_step_rows() const { return std::max<size_t>(step_tokens_.size(), 1); }

  // The next decode step: the last sampled token and its drafts.
  StepPart decode_part();
  // Its logits, a row per token: samples row after row for as long as the drafts come true.
  void take_step(const float* logits, double ms);
  // What that step took, drafting included, and how many requests shared it.
  void measured(double ms, int64_t n_requests);

  void end(EndReason reason, int32_t stop_id = -1);
  void end_with_error(const Error& error);

 private:
  using Clock = std::chrono::steady_clock;
  static double ms_since(Clock::time_point start);
  bool is_stop(int32_t id) const;
  void report(const SampledToken& token, double step_ms);
  void settle_step();
  void finish(GenerateEnd& end);

  uint64_t id_;
  const Model::State& model_;
  GenerateRequest request_;
  std::optional<SessionUse> use_;
  Sampler sampler_;
  StreamDecoder decoder_;
  std::atomic<bool> cancelled_{false};
  bool begun_ = false, ended_ = false;
  int64_t n_prompt_done_ = 0;
  int32_t pending_token_ = -1;

  DraftRule draft_rule_;
  bool asked_for_drafts_ = false;
  std::vector<int32_t> step_tokens_;  // pending_token_ and drafts of the next step; empty: none
  // Rows of the step under way that count so far; settled before the request ends.
  int64_t n_open_rows_ = 0, n_step_drafts_ = 0, n_step_accepted_ = 0;
  GenerateStats stats_;
  Clock::time_point submitted_, started_, first_token_;
};

}  // namespace moebius
