#include "engine/calibration.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/page_buffer.h"
#include "base/thread_pool.h"
#include "engine/threshold_measurement.h"
#include "kernels/backend.h"
#include "kernels/calibration.h"

namespace moebius {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMiB = uint64_t{1} << 20;
// A core's share of the last-level cache is at most about 32 MiB.
constexpr uint64_t kBytesPerThread = 128 * kMiB;
constexpr uint64_t kSmallestBuffer = 128 * kMiB, kUsualBuffer = 256 * kMiB, kLargestBuffer = 4096 * kMiB;
constexpr int64_t kReadChunk = static_cast<int64_t>(kMiB);
constexpr int kRuns = 7;
constexpr int kWarmUps = 2;  // the clock rises, pages and threads come in
constexpr double kRunSeconds = 0.03;
constexpr int64_t kFirstRounds = int64_t{1} << 14, kMostRounds = int64_t{1} << 30;
constexpr int kMaxThreads = 1024;

double seconds_since(Clock::time_point start) {
  return std::max(1e-9, std::chrono::duration<double>(Clock::now() - start).count());
}

// One calibration under way.
class Procedure {
 public:
  Procedure(int n_threads, const std::atomic<bool>* cancel, const CalibrationProgress& progress, int n_rates, int n_more_steps)
      : pool_(n_threads), cancel_(cancel), progress_(progress), n_steps_(n_rates * (kRuns + kWarmUps) + n_more_steps) {}

  ThreadPool& pool() { return pool_; }

  // Units per second: the median of kRuns calls of `run`, which returns units done.
  template <typename Run>
  double median_rate(const Run& run) {
    std::array<double, kRuns> rates{};
    for (int i = -kWarmUps; i < kRuns; ++i) {
      check();
      const Clock::time_point start = Clock::now();
      const double units = run();
      if (i >= 0) rates[static_cast<size_t>(i)] = units / seconds_since(start);
      advance();
    }
    std::nth_element(rates.begin(), rates.begin() + kRuns / 2, rates.end());
    return rates[kRuns / 2];
  }

  double operations(const PeakLoop& loop) {
    int64_t n_rounds = kFirstRounds;
    const auto run = [&] {
      pool_.run([&](int) { sink_.store(loop.run(n_rounds), std::memory_order_relaxed); });
      return loop.operations_per_round * static_cast<double>(n_rounds) * pool_.size();
    };
    // Powers of two from a fixed start: the same work on the same machine. The faster of two
    // tries decides, because a thread may be late once.
    const auto timed = [&] {
      check();
      const Clock::time_point start = Clock::now();
      run();
      return seconds_since(start);
    };
    while (n_rounds < kMostRounds && std::min(timed(), timed()) < kRunSeconds / 2) n_rounds *= 2;
    n_rounds *= 2;
    return median_rate(run);
  }

  double read(const PageBuffer& buffer, const PeakLoops& loops) {
    const auto* bytes = buffer.as<const char>();
    const auto n = static_cast<int64_t>(buffer.size());
    return median_rate([&] {
      pool_.parallel_for(n, kReadChunk, [&](int64_t begin, int64_t end, int) {
        const uint64_t value = loops.read(bytes + begin, static_cast<size_t>(end - begin));
        sink_.store(static_cast<float>(value & 0xff), std::memory_order_relaxed);
      });
      return static_cast<double>(n);
    });
  }

  void advance() {
    ++n_done_;
    if (progress_) progress_(static_cast<double>(n_done_) / n_steps_);
  }

  void check() const {
    if (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed))
      throw Error(ErrorCode::kCancelled, "the measurement was cancelled");
  }

 private:
  ThreadPool pool_;
  const std::atomic<bool>* cancel_;
  const CalibrationProgress& progress_;
  int n_steps_;
  int n_done_ = 0;
  std::atomic<float> sink_{0};
};

uint64_t buffer_bytes(int n_threads, uint64_t limit) {
  uint64_t bytes = std::clamp(kBytesPerThread * static_cast<uint64_t>(n_threads), kUsualBuffer, kLargestBuffer);
  if (limit > 0) bytes = std::min(bytes, limit / kMiB * kMiB);
  if (bytes < kSmallestBuffer)
    throw Error(ErrorCode::kMemory, "measuring the read bandwidth needs 128 MiB of free memory", "Close other programs and try again.");
  return bytes;
}

// Other values in every word: pages that are all alike may be shared by the system.
PageBuffer filled_buffer(Procedure& procedure, uint64_t n_bytes) {
  PageBuffer buffer(static_cast<size_t>(n_bytes));
  auto* words = buffer.as<uint64_t>();
  constexpr int64_t kWordsPerChunk = kReadChunk / static_cast<int64_t>(sizeof(uint64_t));
  procedure.pool().parallel_for(static_cast<int64_t>(n_bytes / sizeof(uint64_t)), kWordsPerChunk, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) words[i] = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u;
  });
  procedure.check();
  return buffer;
}

}  // namespace

Calibration calibrate(const CalibrationOptions& options, const std::atomic<bool>* cancel, const CalibrationProgress& progress) {
  if (options.n_threads < 0 || options.n_threads > kMaxThreads)
    throw Error(ErrorCode::kBadRequest, format_text("threads: expected 0 to %d, got %d", kMaxThreads, options.n_threads));
  const Clock::time_point start = Clock::now();
  Calibration result;
  result.cpu_brand = cpu_brand();
  result.cpu_level = cpu_backend().level();
  const PeakLoops loops = cpu_peak_loops(result.cpu_level);
  const bool has_bf16 = loops.bf16_dot.run != nullptr;
  const bool has_tiles = result.cpu_level != "reference";
  Procedure procedure(options.n_threads, cancel, progress, has_bf16 ? 4 : 3, has_tiles ? threshold_steps() : 0);
  procedure.check();
  result.n_threads = procedure.pool().size();
  result.buffer_bytes = buffer_bytes(result.n_threads, options.max_buffer_bytes);
  {
    const PageBuffer buffer = filled_buffer(procedure, result.buffer_bytes);
    result.read_bytes = procedure.read(buffer, loops);
  }
  result.int8_operations = procedure.operations(loops.int8_dot);
  result.f32_operations = procedure.operations(loops.f32_fma);
  if (has_bf16) result.bf16_operations = procedure.operations(loops.bf16_dot);
  if (has_tiles)
    result.thresholds = measure_thresholds(cpu_backend().kernels(), procedure.pool(), [&] { procedure.check(); }, [&] { procedure.advance(); });
  result.mla_expands_from = mla_expands_from(result.thresholds.mla_absorbed_cost, kMlaExampleHistory);
  result.milliseconds = seconds_since(start) * 1e3;
  return result;
}

}  // namespace moebius
