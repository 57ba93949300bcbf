#include "machine_peaks.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/page_buffer.h"
#include "base/thread_pool.h"
#include "kernels/calibration.h"

namespace moebius::bench {

namespace {

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Keeps results alive.
volatile double sink;

double peak_of(ThreadPool& pool, const PeakLoop& loop) {
  if (loop.run == nullptr) return 0;
  constexpr int64_t kRounds = 2'000'000;
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Stopwatch watch(pool.size());
    pool.run([&loop](int) { sink = loop.run(kRounds); });
    best = std::max(best, loop.operations_per_round * kRounds * pool.size() / watch.seconds());
  }
  return best;
}

double read_bandwidth(ThreadPool& pool, const PeakLoops& loops) {
  constexpr int64_t kBytes = int64_t{1} << 30, kGrain = 1 << 20;
  PageBuffer buffer(static_cast<size_t>(kBytes));
  auto* bytes = buffer.as<uint8_t>();
  // Untouched pages would all be the same zero page.
  for (int64_t i = 0; i < kBytes; i += 4096) bytes[i] = 1;
  double best = 0;
  for (int repeat = 0; repeat < 4; ++repeat) {
    const Stopwatch watch(pool.size());
    pool.parallel_for(kBytes, kGrain, [&](int64_t begin, int64_t end, int) {
      sink = static_cast<double>(loops.read(bytes + begin, static_cast<size_t>(end - begin)));
    });
    best = std::max(best, static_cast<double>(kBytes) / watch.seconds());
  }
  return best;
}

}  // namespace

Stopwatch::Stopwatch(int n_threads) : cpu_time_(n_threads == 1), start_(cpu_time_ ? cpu_seconds() : wall_seconds()) {}
double Stopwatch::seconds() const { return std::max(1e-9, (cpu_time_ ? cpu_seconds() : wall_seconds()) - start_); }

Peaks measure_peaks(ThreadPool& pool, const std::string& level) {
  const PeakLoops loops = cpu_peak_loops(level);
  return {read_bandwidth(pool, loops), peak_of(pool, loops.int8_dot), peak_of(pool, loops.f32_fma)};
}

}  // namespace moebius::bench
