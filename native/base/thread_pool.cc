#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"

namespace moebius {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(50);
constexpr int kPausesPerClockRead = 32;
constexpr int kMaxThreads = 1024;

void cpu_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// True when ready() came true within the spin time.
template <typename Ready>
bool spin_until(const Ready& ready, bool may_spin) {
  if (ready()) return true;
  if (!may_spin) return false;
  const auto deadline = Clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (ready()) return true;
      cpu_pause();
    }
  } while (Clock::now() < deadline);
  return false;
}

}  // namespace

struct ThreadPool::State {
  int n_threads = 1;
  bool may_spin = true;

  std::atomic<bool> busy{false};
  std::atomic<bool> stop{false};
  const std::function<void(int)>* job = nullptr;

  // A job starts when `generation` changes and ends when `n_running` is zero. The counters
  // sit on lines of their own: the workers poll the first while the others finish.
  alignas(64) std::atomic<uint32_t> generation{0};
  alignas(64) std::atomic<int> n_running{0};
  alignas(64) std::atomic<int> n_sleeping{0};
  std::atomic<bool> caller_sleeps{false};

  std::mutex mutex;
  std::condition_variable job_ready;
  std::condition_variable job_done;
  std::exception_ptr first_exception;
  std::vector<std::thread> threads;

  void execute(int worker) {
    try {
      (*job)(worker);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!first_exception) first_exception = std::current_exception();
    }
  }

  void wait_for_job(uint32_t seen) {
    const auto changed = [&] { return generation.load(std::memory_order_seq_cst) != seen; };
    if (spin_until(changed, may_spin)) return;
    std::unique_lock<std::mutex> lock(mutex);
    n_sleeping.fetch_add(1, std::memory_order_seq_cst);
    job_ready.wait(lock, changed);
    n_sleeping.fetch_sub(1, std::memory_order_relaxed);
  }

  void worker_main(int worker) {
    uint32_t seen = 0;
    for (;;) {
      wait_for_job(seen);
      ++seen;
      if (stop.load(std::memory_order_acquire)) return;
      execute(worker);
      if (n_running.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
          caller_sleeps.load(std::memory_order_seq_cst)) {
        std::lock_guard<std::mutex> lock(mutex);
        job_done.notify_one();
      }
    }
  }

  // Storing the generation before reading n_sleeping, while a worker does the reverse,
  // makes sure that no wake-up is lost.
  void start_workers() {
    generation.fetch_add(1, std::memory_order_seq_cst);
    if (n_sleeping.load(std::memory_order_seq_cst) == 0) return;
    std::lock_guard<std::mutex> lock(mutex);
    job_ready.notify_all();
  }

  void wait_for_workers() {
    const auto finished = [&] { return n_running.load(std::memory_order_seq_cst) == 0; };
    if (spin_until(finished, may_spin)) return;
    std::unique_lock<std::mutex> lock(mutex);
    caller_sleeps.store(true, std::memory_order_seq_cst);
    job_done.wait(lock, finished);
    caller_sleeps.store(false, std::memory_order_relaxed);
  }

  void stop_workers() {
    stop.store(true, std::memory_order_release);
    start_workers();
    for (std::thread& thread : threads) thread.join();
  }
};

ThreadPool::ThreadPool(int n_threads) : state_(std::make_unique<State>()) {
  if (n_threads < 0 || n_threads > kMaxThreads)
    throw Error(ErrorCode::kBadRequest,
                format_text("thread count %d is not between 0 (automatic) and %d", n_threads, kMaxThreads));
  state_->n_threads = n_threads == 0 ? physical_core_count() : n_threads;
  // A thread that spins on a shared processor keeps the one that has work from running.
  state_->may_spin = state_->n_threads <= usable_cpu_count();
  try {
    for (int worker = 1; worker < state_->n_threads; ++worker)
      state_->threads.emplace_back([state = state_.get(), worker] { state->worker_main(worker); });
  } catch (const std::exception& error) {
    state_->stop_workers();
    throw Error(ErrorCode::kMemory, format_text("could not start %d threads: %s", state_->n_threads, error.what()));
  }
}

ThreadPool::~ThreadPool() { state_->stop_workers(); }

int ThreadPool::size() const { return state_->n_threads; }

void ThreadPool::run(const std::function<void(int worker)>& job) {
  State& state = *state_;
  if (state.busy.exchange(true, std::memory_order_acquire))
    throw Error(ErrorCode::kInternal, "thread pool: a job was started while another one runs");
  state.job = &job;
  state.n_running.store(state.n_threads - 1, std::memory_order_relaxed);
  if (state.n_threads > 1) state.start_workers();
  state.execute(0);
  if (state.n_threads > 1) state.wait_for_workers();
  state.job = nullptr;
  const std::exception_ptr thrown = std::exchange(state.first_exception, nullptr);
  state.busy.store(false, std::memory_order_release);
  if (thrown) std::rethrow_exception(thrown);
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              const std::function<void(int64_t begin, int64_t end, int worker)>& body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t n_chunks = (n - 1) / grain + 1;
  if (n_chunks == 1) {
    body(0, n, 0);
    return;
  }
  struct Work {
    const std::function<void(int64_t, int64_t, int)>& body;
    int64_t n, grain, n_chunks;
    std::atomic<int64_t> next{0};
  } work{body, n, grain, n_chunks};
  // One captured pointer fits into std::function without an allocation.
  run([&work](int worker) {
    try {
      for (;;) {
        const int64_t chunk = work.next.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= work.n_chunks) return;
        const int64_t begin = chunk * work.grain;
        work.body(begin, std::min(work.n, begin + work.grain), worker);
      }
    } catch (...) {
      work.next.store(work.n_chunks, std::memory_order_relaxed);
      throw;
    }
  });
}

}  // namespace moebius
