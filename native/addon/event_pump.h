// How other threads reach the event loop: one thread-safe function per JavaScript
// environment. Sources gather their events themselves and are announced here; the pump wakes
// the event loop at most once per kInterval (urgent announcements excepted), so a model that
// makes a token every 200 us does not flood it. After close() announcements are ignored:
// nothing touches the environment once it goes down.
#pragma once

#include <napi.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace moebius::addon {

// Something with news for JavaScript. Shared by a native thread, which fills it, and the
// event loop, which empties it; holds no JavaScript value, since its last owner may be
// either of them.
class EventSource {
 public:
  virtual ~EventSource() = default;
  // On the event loop, inside a handle scope. Delivers what has gathered.
  virtual void deliver(Napi::Env env) = 0;

 private:
  friend class EventPump;
  bool announced_ = false;  // under the pump's mutex
};

class EventPump {
 public:
  static constexpr std::chrono::milliseconds kInterval{10};

  // On the event loop's thread.
  explicit EventPump(Napi::Env env);
  ~EventPump();
  EventPump(const EventPump&) = delete;
  EventPump& operator=(const EventPump&) = delete;

  // Any thread. The source is delivered soon: at once when urgent, else with the next wake-up.
  void announce(std::shared_ptr<EventSource> source, bool urgent);

  // Event loop's thread only: while held, the process stays alive for the events.
  void hold();
  void release();
  // Event loop's thread only; idempotent.
  void close();

 private:
  using Clock = std::chrono::steady_clock;

  static void call_js(napi_env env, napi_value function, void* context, void* data);
  void deliver_all(Napi::Env env);
  void wake();        // under mutex_
  void run_timer();

  napi_env env_;
  napi_threadsafe_function function_ = nullptr;
  int64_t n_holds_ = 0;

  std::mutex mutex_;
  std::condition_variable timer_changed_;
  std::vector<std::shared_ptr<EventSource>> announced_;
  std::atomic<bool> closed_{false};  // set under mutex_
  bool wake_queued_ = false;
  bool timer_armed_ = false;
  Clock::time_point next_wake_{};
  std::thread timer_;  // started by the first announcement that has to wait
};

}  // namespace moebius::addon
