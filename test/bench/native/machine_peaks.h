// What the machine can do at most, measured: the denominators of every percentage.
#pragma once

#include <string>

#include "base/thread_pool.h"

namespace moebius::bench {

// Wall time; CPU time for one thread, which a busy machine disturbs less.
class Stopwatch {
 public:
  explicit Stopwatch(int n_threads);
  double seconds() const;

 private:
  bool cpu_time_;
  double start_;
};

struct Peaks {
  double bytes = 0, int8 = 0, f32 = 0;  // per second: bytes read, int8 and f32 operations
};
// All threads of the pool at one level of the CPU backend.
Peaks measure_peaks(ThreadPool&, const std::string& level);

}  // namespace moebius::bench
