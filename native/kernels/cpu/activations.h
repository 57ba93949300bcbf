// Input rows rounded to int8 for the integer kernels. One form serves every format: 256
// elements with an f32 scale per 32 (largest magnitude = 127) and the scaled sums that the
// min and offset terms of the weights need. Rows are padded with zeros to whole blocks.
//
// The row dots read the codes in paired order: of four groups a b c d in quarters of 8 bytes,
//   a0 b0 a2 b2 c0 d0 c2 d2 | a1 b1 a3 b3 c1 d1 c3 d3
// so that the vectors on both sides of the bar hold the same groups lane by lane (of 16 as of
// 32 elements) and their dots add up as integers before anything is scaled.
#pragma once

#include <cstdint>

namespace moebius::cpu {

constexpr int64_t kActivationBlockElements = 256;

struct alignas(64) ActivationBlock {
  int8_t codes[256];
  float scales[8];    // x = scale * code
  float sums32[8];    // scale * sum of the 32 codes
  float sums16[16];   // scale * sum of 16 codes
  int8_t paired[256]; // the codes in paired order
};
static_assert(sizeof(ActivationBlock) == 640);

constexpr int64_t activation_blocks(int64_t n) {
  return (n + kActivationBlockElements - 1) / kActivationBlockElements;
}

// Where quarter q (0..3) of group g (0..7) lies in paired order, in bytes.
constexpr int64_t paired_offset(int64_t g, int64_t q) {
  return g / 4 * 128 + q % 2 * 64 + g % 4 / 2 * 32 + q / 2 * 16 + g % 2 * 8;
}

}  // namespace moebius::cpu
