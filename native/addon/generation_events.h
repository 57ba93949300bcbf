// The events of one generation between the scheduler's thread and the event loop. Tokens
// gather here until the pump delivers them as one batch; there are never more of them than
// the request's max_tokens. Of prompt progress only the newest is kept.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "addon/errors.h"
#include "addon/event_pump.h"
#include "engine/scheduler.h"

namespace moebius::addon {

class GenerationEvents final : public EventSource, public std::enable_shared_from_this<GenerationEvents> {
 public:
  GenerationEvents(uint64_t call_id, std::shared_ptr<EventPump> pump) : call_id_(call_id), pump_(std::move(pump)) {}

  // Any thread, in order.
  void prompt_progress(const PromptProgress& progress);
  void token(const TokenEvent& token);
  void end(const GenerateEnd& end);
  void fail(const Failure& failure);

  // Calls the callback with {progress, tokens}, then settles the promise if it has ended.
  void deliver(Napi::Env env) override;

 private:
  struct Pending {
    std::optional<PromptProgress> progress;
    std::vector<TokenEvent> tokens;
    std::optional<GenerateEnd> end;
    std::optional<Failure> failure;
  };

  static Napi::Object batch_to_js(Napi::Env env, const Pending& pending);
  static Napi::Object end_to_js(Napi::Env env, const GenerateEnd& end);

  const uint64_t call_id_;
  const std::shared_ptr<EventPump> pump_;
  std::mutex mutex_;
  Pending pending_;
  bool had_token_ = false;
};

}  // namespace moebius::addon
