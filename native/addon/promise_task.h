// A call that runs on a thread of the runner and settles its promise on the event loop. The
// arguments were copied into plain values before it starts, inside `work`.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "addon/addon_data.h"

namespace moebius::addon {

template <typename Result>
class PromiseTask final : public EventSource {
 public:
  using Work = std::function<Result()>;  // on a runner thread
  using Convert = std::function<Napi::Value(Napi::Env, const Call&, Result&)>;  // on the event loop

  PromiseTask(uint64_t call_id, Work work, Convert convert)
      : call_id_(call_id), work_(std::move(work)), convert_(std::move(convert)) {}

  void execute() {
    try {
      result_.emplace(work_());
    } catch (...) {
      failure_ = current_failure();
    }
    work_ = nullptr;  // what it captured is freed here, not on the event loop
  }

  void deliver(Napi::Env env) override {
    AddonData& data = AddonData::of(env);
    if (data.find_call(call_id_) == nullptr) return;
    const Call call = data.end_call(call_id_);
    if (!result_) {
      reject(env, call.deferred, failure_);
      return;
    }
    try {
      call.deferred.Resolve(convert_(env, call, *result_));
    } catch (const Napi::Error& error) {
      call.deferred.Reject(error.Value());
    } catch (...) {
      reject(env, call.deferred, current_failure());
    }
    result_.reset();
  }

 private:
  uint64_t call_id_;
  Work work_;
  Convert convert_;
  std::optional<Result> result_;
  Failure failure_;
};

// Starts `work` for the call with this id.
template <typename Result>
void start_task(AddonData& data, uint64_t call_id, std::function<Result()> work,
                typename PromiseTask<Result>::Convert convert) {
  auto task = std::make_shared<PromiseTask<Result>>(call_id, std::move(work), std::move(convert));
  data.runner()->submit([task, pump = data.pump()] {
    task->execute();
    pump->announce(task, /*urgent=*/true);
  });
}

// The same for a call that needs nothing but a promise and what is set in `call`.
template <typename Result>
Napi::Value run_task(Napi::Env env, Call call, std::function<Result()> work,
                     typename PromiseTask<Result>::Convert convert) {
  AddonData& data = AddonData::of(env);
  const Napi::Promise promise = call.deferred.Promise();
  start_task<Result>(data, data.begin_call(std::move(call)), std::move(work), std::move(convert));
  return promise;
}

}  // namespace moebius::addon
