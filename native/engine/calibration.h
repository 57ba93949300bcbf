// First-run calibration: what this machine can do at most, measured the way the engine works
// (same level, same number of threads), so that every percentage shown divides by it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "kernels/thresholds.h"

namespace moebius {

struct CalibrationOptions {
  int n_threads = 0;               // 0 = physical cores, as a load
  uint64_t max_buffer_bytes = 0;   // limit of the read buffer; 0 = none
};

// Peaks in units per second: the median of several short runs on all threads.
struct Calibration {
  std::string cpu_brand;
  std::string cpu_level;
  int n_threads = 0;
  double read_bytes = 0;        // streaming read of a buffer much larger than the caches
  double int8_operations = 0;   // a multiply-add counts two, as in the two below
  double f32_operations = 0;
  double bf16_operations = 0;   // 0 where the level has no bfloat16 dot
  // From where on one kernel beats another; the defaults where the level is plain loops.
  KernelThresholds thresholds;
  // What the MLA cost means: prompt tokens from which attention with DeepSeek-V2's heads
  // expands its keys, behind kMlaExampleHistory cached tokens; 0 = never.
  int64_t mla_expands_from = 0;
  double milliseconds = 0;      // what the measurement took
  uint64_t buffer_bytes = 0;    // read in each run
};

constexpr int64_t kMlaExampleHistory = 4096;

// Fraction done, on the calling thread, between runs.
using CalibrationProgress = std::function<void(double fraction)>;

// Takes a few seconds of all threads. `cancel` (may be null) is looked at between runs,
// which take a small part of a second each. Throws Error(kCancelled), Error(kMemory) when fewer
// than 128 MiB may be used for the buffer, Error(kBadRequest) for a number of threads out of range.
Calibration calibrate(const CalibrationOptions& options = {}, const std::atomic<bool>* cancel = nullptr,
                      const CalibrationProgress& progress = {});

}  // namespace moebius
