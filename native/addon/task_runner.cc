#include "addon/task_runner.h"

#include <utility>

namespace moebius::addon {

void TaskRunner::submit(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  tasks_.push_back(std::move(task));
  if (tasks_.size() > n_idle_ && threads_.size() < kMaxThreads) {
    threads_.emplace_back([this] { work(); });
  }
  changed_.notify_one();
}

void TaskRunner::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++n_idle_;
    changed_.wait(lock, [this] { return stopped_ || !tasks_.empty(); });
    --n_idle_;
    if (stopped_) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it captured goes before the next wait
    lock.lock();
  }
}

void TaskRunner::stop() {
  std::deque<std::function<void()>> dropped;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(tasks_);
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace moebius::addon
