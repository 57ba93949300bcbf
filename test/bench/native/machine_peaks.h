// What the machine can do at most, measured: the denominators of every percentage.
#pragma once

#include <cstdint>

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

// Bytes per second all threads of a pool read from memory, in order.
double measure_read_bandwidth(int n_threads);
// Operations per second of the widest int8 dot and of the f32 multiply-add, registers only.
double measure_int8_peak(int n_threads);
double measure_f32_peak(int n_threads);

}  // namespace moebius::bench
