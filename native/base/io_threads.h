// A few threads that spend their time waiting for the system: reads of weights. Apart from
// ThreadPool, whose workers compute and must not block.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace moebius {

class IoThreads {
 public:
  // Throws Error(kMemory) when the system refuses a thread.
  explicit IoThreads(int n_threads);
  // Finishes what was submitted.
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  // Jobs start in the order given, on any thread, and must not throw.
  void submit(std::vector<std::function<void()>> jobs);

 private:
  void work();
  void stop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace moebius
