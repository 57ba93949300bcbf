// Input rows rounded to int8 for the integer kernels. One form serves every format: 256
// elements with an f32 scale per 32 (largest magnitude = 127) and the scaled sums that the
// min and offset terms of the weights need. Rows are padded with zeros to whole blocks.
#pragma once

#include <cstdint>

namespace moebius::cpu {

constexpr int64_t kActivationBlockElements = 256;

struct alignas(64) ActivationBlock {
  int8_t codes[256];
  float scales[8];    // x = scale * code
  float sums32[8];    // scale * sum of the 32 codes
  float sums16[16];   // scale * sum of 16 codes
};
static_assert(sizeof(ActivationBlock) == 384);

constexpr int64_t activation_blocks(int64_t n) {
  return (n + kActivationBlockElements - 1) / kActivationBlockElements;
}

}  // namespace moebius::cpu
