// One request on its way through the scheduler: prompt, sampler, text, numbers. Used by the
// worker thread alone, except for `cancelled`.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/model_state.h"
#include "engine/scheduler.h"

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
  // The sampled token that the next decode step evaluates.
  const int32_t& pending_token() const { return pending_token_; }

  // Before the first prefill step: keeps the common prefix of session and prompt.
  void begin();
  bool has_begun() const { return begun_; }
  // The next chunk of the prompt.
  std::span<const int32_t> next_chunk() const;
  bool chunk_is_last() const;
  // One uncached token is a decode step, as in Session::evaluate; a last chunk of one is not.
  Phase prompt_phase() const;
  void chunk_done(int64_t n_tokens);

  // Logits after the last prompt token or the last decode step: samples, reports, and ends
  // the request when that was its last token.
  void take_logits(std::span<const float> logits, double step_ms);

  void end(EndReason reason, int32_t stop_id = -1);
  void end_with_error(const Error& error);

 private:
  using Clock = std::chrono::steady_clock;
  static double ms_since(Clock::time_point start);
  bool is_stop(int32_t id) const;
  void report(const SampledToken& token, double step_ms);
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
  GenerateStats stats_;
  Clock::time_point submitted_, started_, first_token_;
};

}  // namespace moebius
