// Routed experts that are not in memory before the router chooses them. One call of moe_ffn
// asks with begin(), computes what is at hand while the rest is read, and takes the rest from
// next() in whatever order it arrives: outputs are summed in slot order afterwards, so that
// arrival changes nothing. One caller at a time.
#pragma once

#include <cstdint>

namespace moebius {

// The matrices of one expert, in the layout of the stack they belong to.
struct ExpertData {
  const void* gate_proj = nullptr;
  const void* up_proj = nullptr;
  const void* down_proj = nullptr;
};

class ExpertSource {
 public:
  virtual ~ExpertSource() = default;

  // Names the experts of a call, distinct and ascending, and starts to read what is missing.
  // Gives those at hand: their indices in `experts` go to `given` [n]; returns how many.
  virtual int64_t begin(const int32_t* experts, int64_t n, int32_t* given) = 0;
  // Takes back what was given, waits, and gives at least one more; 0 when all were given.
  // Throws Error(kIo) naming tensor and file when one cannot be read; the call is over then.
  virtual int64_t next(int32_t* given) = 0;
  // Of an expert that is given now.
  virtual ExpertData data(int32_t expert) const = 0;
};

}  // namespace moebius
