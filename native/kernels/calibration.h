// Loops that measure what a machine can do at most: they compute in registers only, or only
// read. Every percentage of a limit divides by what they reach. They run on the calling
// thread; engine/calibration.h runs them on all of them and takes the time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace moebius {

// One arithmetic peak. `run` repeats its round and returns a value that depends on every
// operation, so that nothing is left out; null where the level has no such instruction.
struct PeakLoop {
  float (*run)(int64_t n_rounds) = nullptr;
  double operations_per_round = 0;  // a multiply-add counts two
};

struct PeakLoops {
  PeakLoop int8_dot;  // the int8 dot step of the level's kernels
  PeakLoop f32_fma;
  PeakLoop bf16_dot;  // into f32; only where the processor has it
  // Reads n bytes (a multiple of 1024, aligned to 64) in order with the level's widest loads.
  uint64_t (*read)(const void* data, size_t n_bytes) = nullptr;
};

// The loops of a CPU level by its name (backend.h, Backend::level); levels without loops of
// their own get the portable ones.
PeakLoops cpu_peak_loops(const std::string& level);

}  // namespace moebius
