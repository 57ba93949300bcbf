// Everything the addon keeps for one JavaScript environment: the pump, the threads, the
// models alive and the calls in flight. Used on the event loop's thread only. shutdown()
// runs before the environment goes down and leaves no native thread behind.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "addon/errors.h"
#include "addon/event_pump.h"
#include "addon/handles.h"
#include "addon/task_runner.h"

namespace moebius::addon {

// The event loop's half of a call that has not settled yet.
struct Call {
  explicit Call(Napi::Env env) : deferred(env) {}

  Napi::Promise::Deferred deferred;
  Napi::FunctionReference callback;       // events; may be empty
  Napi::ObjectReference buffer;           // keeps the ArrayBuffer that a worker fills; may be empty
  std::shared_ptr<CancelFlag> cancel;     // may be null
  std::shared_ptr<ModelState> model;      // counted in ModelState::n_calls; may be null
  std::shared_ptr<SessionState> session;  // busy until the call settles; may be null
};

class AddonData {
 public:
  explicit AddonData(Napi::Env env);
  ~AddonData() { shutdown(); }
  AddonData(const AddonData&) = delete;
  AddonData& operator=(const AddonData&) = delete;

  static AddonData& of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }

  const std::shared_ptr<EventPump>& pump() const { return pump_; }
  const std::shared_ptr<TaskRunner>& runner() const { return runner_; }
  WeakList<ModelState>& models() { return models_; }

  // Registers the call, marks its session busy and keeps the process alive until it settles.
  uint64_t begin_call(Call call);
  // Null when it has settled.
  Call* find_call(uint64_t id);
  // Removes the call and frees its session for the next one. The caller settles the promise.
  Call end_call(uint64_t id);

  // Frees something off the event loop.
  void dispose(std::shared_ptr<void> object);
  void close_session(const std::shared_ptr<SessionState>& session);
  // Resolves when all calls on the model have ended and its memory is free.
  Napi::Value close_model(Napi::Env env, const std::shared_ptr<ModelState>& model);

  void shutdown();

 private:
  void free_model_when_idle(Napi::Env env, const std::shared_ptr<ModelState>& model);

  napi_env env_;
  std::shared_ptr<EventPump> pump_;
  std::shared_ptr<TaskRunner> runner_;
  WeakList<ModelState> models_;
  std::unordered_map<uint64_t, Call> calls_;
  uint64_t next_call_id_ = 1;
  std::unordered_map<const ModelState*, std::vector<Napi::Promise::Deferred>> closing_;
  bool shut_down_ = false;
};

void reject(Napi::Env env, const Napi::Promise::Deferred& deferred, const Failure& failure);

}  // namespace moebius::addon
