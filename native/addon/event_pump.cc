#include "addon/event_pump.h"

#include <utility>

#include "addon/errors.h"

namespace moebius::addon {

EventPump::EventPump(Napi::Env env) : env_(env) {
  const Napi::String name = Napi::String::New(env, "moebius events");
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, name, /*max_queue_size=*/0, /*initial_thread_count=*/1,
                                      nullptr, nullptr, this, &EventPump::call_js, &function_);
  NAPI_THROW_IF_FAILED_VOID(env, status);
  napi_unref_threadsafe_function(env, function_);
}

EventPump::~EventPump() { close(); }

void EventPump::announce(std::shared_ptr<EventSource> source, bool urgent) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  if (!source->announced_) {
    source->announced_ = true;
    announced_.push_back(std::move(source));
  }
  if (wake_queued_) return;
  if (urgent || Clock::now() >= next_wake_) {
    wake();
  } else if (!timer_armed_) {
    timer_armed_ = true;
    if (!timer_.joinable()) timer_ = std::thread([this] { run_timer(); });
    timer_changed_.notify_one();
  }
}

void EventPump::wake() {
  // Never more than one call is queued, so the queue needs no bound.
  const napi_status status = napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
  wake_queued_ = status == napi_ok;
  if (status == napi_closing) closed_ = true;  // a further call would touch freed memory
}

void EventPump::run_timer() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    if (!timer_armed_) {
      timer_changed_.wait(lock);
      continue;
    }
    if (Clock::now() < next_wake_) {
      timer_changed_.wait_until(lock, next_wake_);
      continue;
    }
    timer_armed_ = false;
    if (!wake_queued_ && !announced_.empty()) wake();
  }
}

void EventPump::call_js(napi_env env, napi_value, void* context, void*) {
  // A null environment means that JavaScript can no longer run.
  if (env != nullptr) static_cast<EventPump*>(context)->deliver_all(env);
}

void EventPump::deliver_all(Napi::Env env) {
  std::vector<std::shared_ptr<EventSource>> sources;
  {
    std::lock_guard lock(mutex_);
    sources.swap(announced_);
    for (const auto& source : sources) source->announced_ = false;
    wake_queued_ = false;
    timer_armed_ = false;
    next_wake_ = Clock::now() + kInterval;
  }
  for (const auto& source : sources) {
    Napi::HandleScope scope(env);
    // One caller's throwing callback must not lose the events of the others.
    try {
      source->deliver(env);
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env, error.Value());
    } catch (...) {
      napi_fatal_exception(env, to_js_error(env, current_failure()).Value());
    }
  }
}

void EventPump::hold() {
  if (n_holds_++ == 0 && !closed_) napi_ref_threadsafe_function(env_, function_);
}

void EventPump::release() {
  if (--n_holds_ == 0 && !closed_) napi_unref_threadsafe_function(env_, function_);
}

void EventPump::close() {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    announced_.clear();
    timer_changed_.notify_all();
  }
  // The function itself is left to the environment, which is going down.
  if (timer_.joinable()) timer_.join();
}

}  // namespace moebius::addon
