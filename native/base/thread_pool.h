// A persistent pool of worker threads for one engine. The calling thread is worker 0.
// Between jobs workers spin for a short while (decode issues jobs every few microseconds)
// and then sleep, so that an idle window costs nothing. Work is cut into chunks by the
// problem's size only, never by the number of threads, and every output element is
// computed by one worker: results do not depend on the thread count.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace moebius {

class ThreadPool {
 public:
  // n_threads >= 1, including the caller. 0 picks the number of physical cores.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  // Calls job(worker) once on each worker, returns when all have finished. Not reentrant.
  // The first exception thrown by a worker is rethrown here.
  void run(const std::function<void(int worker)>& job);

  // Cuts [0, n) into chunks of `grain` and calls body(begin, end, worker) for each. Every
  // worker walks through a run of neighbouring chunks; who is done early takes chunks from
  // the ends of the others' runs. Runs on the caller alone when there is one chunk.
  void parallel_for(int64_t n, int64_t grain,
                    const std::function<void(int64_t begin, int64_t end, int worker)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moebius
