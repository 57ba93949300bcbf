#include "base/io_threads.h"

#include <iterator>
#include <utility>

#include "base/error.h"

namespace moebius {

IoThreads::IoThreads(int n_threads) {
  try {
    for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::exception& error) {
    stop();
    throw Error(ErrorCode::kMemory, format_text("could not start %d threads for reading: %s", n_threads, error.what()));
  }
}

IoThreads::~IoThreads() { stop(); }

void IoThreads::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void IoThreads::submit(std::vector<std::function<void()>> jobs) {
  const size_t n = jobs.size();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::move(jobs.begin(), jobs.end(), std::back_inserter(jobs_));
  }
  if (n == 1) {
    wake_.notify_one();
  } else {
    wake_.notify_all();
  }
}

void IoThreads::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace moebius
