// What JavaScript's handles stand for, and who owns whom:
//   model handle   -> ModelState   -> Model, Scheduler
//   session handle -> SessionState -> Session, and the ModelState, so a model outlives its
//                                     sessions whatever order the garbage collector takes
//   cancel handle  -> CancelFlag
// A handle is a plain object that wraps a shared_ptr and carries a type tag, so a handle of
// another kind, or a foreign object, is refused. The states hold no JavaScript values: they
// may die on any thread. Their mutable fields belong to the event loop's thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "addon/session_observer.h"
#include "addon/task_runner.h"
#include "engine/engine.h"

namespace moebius::addon {

// Asks one running call to stop. Requested from the event loop, looked at by native threads.
class CancelFlag {
 public:
  bool claimed = false;  // given to a call; event loop's thread only

  const std::atomic<bool>& requested() const { return requested_; }
  bool is_requested() const { return requested_.load(std::memory_order_relaxed); }
  // Also runs the action, if one is set.
  void request();
  // Runs at the request, or at once when it has been made already.
  void on_request(std::function<void()> action);
  // The call has ended: no action runs any more, even one set later.
  void retire();

 private:
  std::atomic<bool> requested_{false};
  std::mutex mutex_;
  std::function<void()> action_;
  bool retired_ = false;
};

// Who is still alive, without keeping anybody so.
template <typename State>
class WeakList {
 public:
  void add(const std::shared_ptr<State>& state) {
    if (items_.size() >= prune_at_) {
      std::erase_if(items_, [](const auto& item) { return item.expired(); });
      prune_at_ = 2 * items_.size() + 16;
    }
    items_.push_back(state);
  }
  std::vector<std::shared_ptr<State>> alive() const {
    std::vector<std::shared_ptr<State>> result;
    for (const auto& item : items_) {
      if (auto state = item.lock()) result.push_back(std::move(state));
    }
    return result;
  }

 private:
  std::vector<std::weak_ptr<State>> items_;
  size_t prune_at_ = 16;
};

struct SessionState;

struct ModelState {
  std::shared_ptr<Model> model;
  std::unique_ptr<Scheduler> scheduler;
  WeakList<SessionState> sessions;
  int64_t n_calls = 0;  // running calls on the model or its sessions
  bool closed = false;
  bool freed = false;   // closed, and the memory given back or on its way
};

struct SessionState {
  std::shared_ptr<ModelState> model;
  std::shared_ptr<Session> session;
  std::shared_ptr<RoutingTrace> trace;        // null for dense models
  std::shared_ptr<SessionObserver> observer;  // null for dense models
  std::shared_ptr<CancelFlag> running;        // of the call that uses the session now, if any
  bool watched = true;                        // generate() tells the trace; event loop's thread only
  bool observed = false;                      // the session knows its observer; only its running call looks
  bool closed = false;

  // By the running call, before its first step: it may wait for another session's step, so
  // the event loop must not do it.
  void install_observer(bool wanted = true) {
    if (observer && std::exchange(observed, wanted) != wanted) session->set_routing_observer(wanted ? observer : nullptr);
  }
};

inline constexpr napi_type_tag kModelTag = {0x6d6f656269757301, 0x9d1c3a54e2b84f01};
inline constexpr napi_type_tag kSessionTag = {0x6d6f656269757302, 0x9d1c3a54e2b84f02};
inline constexpr napi_type_tag kCancelTag = {0x6d6f656269757303, 0x9d1c3a54e2b84f03};

// What napi_wrap points at.
template <typename State>
struct HandleBox {
  std::shared_ptr<State> state;
  std::shared_ptr<TaskRunner> runner;
};

// A new tagged object that keeps `state` until it is collected. The state is then dropped on
// a thread of the runner: freeing a cache or joining a scheduler must not stop the event loop.
template <typename State>
Napi::Object make_handle(Napi::Env env, const napi_type_tag& tag, std::shared_ptr<State> state,
                         std::shared_ptr<TaskRunner> runner) {
  Napi::Object handle = Napi::Object::New(env);
  NAPI_THROW_IF_FAILED(env, napi_type_tag_object(env, handle, &tag), handle);
  auto box = std::make_unique<HandleBox<State>>(HandleBox<State>{std::move(state), std::move(runner)});
  const auto finalize = [](napi_env, void* data, void*) {
    const std::unique_ptr<HandleBox<State>> owned(static_cast<HandleBox<State>*>(data));
    owned->runner->submit([state = std::move(owned->state)] {});
  };
  NAPI_THROW_IF_FAILED(env, napi_wrap(env, handle, box.get(), finalize, nullptr, nullptr), handle);
  box.release();
  return handle;
}

// The box behind a handle; throws Error(kBadRequest) for anything else.
void* unwrap_tagged(const Napi::Value& value, const napi_type_tag& tag, const char* name, const char* kind);

template <typename State>
std::shared_ptr<State> unwrap(const Napi::Value& value, const napi_type_tag& tag, const char* name, const char* kind) {
  return static_cast<HandleBox<State>*>(unwrap_tagged(value, tag, name, kind))->state;
}

std::shared_ptr<CancelFlag> unwrap_cancel(const Napi::Value& value, const char* name);
// Claims the flag for a call, or makes a fresh one when the value is undefined. Throws
// AddonError(E_CONFLICT) when it was given to another call before.
std::shared_ptr<CancelFlag> claim_cancel(const Napi::Value& value, const char* name);
// These two throw AddonError(E_CONFLICT) when the model or session is closed.
std::shared_ptr<ModelState> unwrap_open_model(const Napi::Value& value);
std::shared_ptr<SessionState> unwrap_open_session(const Napi::Value& value);
// The same, and throws AddonError(E_CONFLICT) when another call is using the session.
std::shared_ptr<SessionState> unwrap_idle_session(const Napi::Value& value);

}  // namespace moebius::addon
