// Columns as the grid kernels want them: 64 bits of each of the eight groups side by side, in
// an order that the format asks for, so that the dots of a group stay in its lane.
#pragma once

#include "kernels/cpu/activations.h"

namespace moebius::cpu {

struct alignas(64) LaneBlock {
  int8_t codes[4][64];
  float scales[16];       // of the group, times the format's step, for both of its 32-bit lanes
  int32_t starts[2][16];  // -offset * the sum of the codes in a lane: of vectors 0 and 1, of 2 and 3; or of all
};

}  // namespace moebius::cpu
