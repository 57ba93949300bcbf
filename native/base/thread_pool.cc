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

// The chunks of one loop, dealt to the workers in equal runs. A worker takes its own from the
// front, so that it reads memory in one long stream; when it has none left it takes others'
// from the back.
class ChunkShares {
 public:
  explicit ChunkShares(int n_workers) : shares_(static_cast<size_t>(n_workers)) {}

  void deal(int64_t n_chunks) {
    const auto n = static_cast<int64_t>(shares_.size());
    for (int64_t i = 0; i < n; ++i)
      shares_[static_cast<size_t>(i)].span.store(pack(n_chunks * i / n, n_chunks * (i + 1) / n), std::memory_order_relaxed);
  }

  // The next chunk of a worker, -1 when all are taken.
  int64_t take(int worker) {
    const auto own = static_cast<size_t>(worker);
    if (const int64_t chunk = take_from(shares_[own], /*front=*/true); chunk >= 0) return chunk;
    for (size_t i = 1; i < shares_.size(); ++i) {
      const int64_t chunk = take_from(shares_[(own + i) % shares_.size()], /*front=*/false);
      if (chunk >= 0) return chunk;
    }
    return -1;
  }

  void drop() { deal(0); }

 private:
  struct alignas(64) Share {
    std::atomic<uint64_t> span{0};  // first chunk in the high half, end in the low
  };

  static uint64_t pack(int64_t first, int64_t end) { return static_cast<uint64_t>(first) << 32 | static_cast<uint64_t>(end); }

  static int64_t take_from(Share& share, bool front) {
    uint64_t span = share.span.load(std::memory_order_relaxed);
    for (;;) {
      const auto first = static_cast<int64_t>(span >> 32), end = static_cast<int64_t>(span & UINT32_MAX);
      if (first >= end) return -1;
      if (share.span.compare_exchange_weak(span, front ? pack(first + 1, end) : pack(first, end - 1), std::memory_order_relaxed))
        return front ? first : end - 1;
    }
  }

  std::vector<Share> shares_;
};

}  // namespace

struct ThreadPool::State {
  explicit State(int n) : n_threads(n), shares(n) {}

  const int n_threads;
  ChunkShares shares;
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

ThreadPool::ThreadPool(int n_threads) {
  if (n_threads < 0 || n_threads > kMaxThreads)
    throw Error(ErrorCode::kBadRequest,
                format_text("thread count %d is not between 0 (automatic) and %d", n_threads, kMaxThreads));
  state_ = std::make_unique<State>(n_threads == 0 ? physical_core_count() : n_threads);
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
  if (n_chunks > INT32_MAX) throw Error(ErrorCode::kInternal, "thread pool: too many chunks");
  struct Work {
    ChunkShares& shares;
    const std::function<void(int64_t, int64_t, int)>& body;
    int64_t n, grain;
  } work{state_->shares, body, n, grain};
  state_->shares.deal(n_chunks);
  // One captured pointer fits into std::function without an allocation.
  run([&work](int worker) {
    try {
      for (int64_t chunk; (chunk = work.shares.take(worker)) >= 0;)
        work.body(chunk * work.grain, std::min(work.n, (chunk + 1) * work.grain), worker);
    } catch (...) {
      work.shares.drop();
      throw;
    }
  });
}

}  // namespace moebius
