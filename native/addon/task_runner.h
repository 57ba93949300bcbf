// Threads for calls that take long: inspecting, loading, evaluating, freeing. Not libuv's
// pool, because the environment waits for that one on its way down before it lets an addon
// cancel anything.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace moebius::addon {

class TaskRunner {
 public:
  static constexpr size_t kMaxThreads = 8;

  TaskRunner() = default;
  ~TaskRunner() { stop(); }
  TaskRunner(const TaskRunner&) = delete;
  TaskRunner& operator=(const TaskRunner&) = delete;

  // Queues a task, which must not throw. After stop() the task is destroyed unrun.
  void submit(std::function<void()> task);
  // Drops what is queued and waits for what runs.
  void stop();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  size_t n_idle_ = 0;
  bool stopped_ = false;
};

}  // namespace moebius::addon
