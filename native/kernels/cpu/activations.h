// Input rows rounded to int8 for the integer kernels. One form serves every format: 256
// elements with an f32 scale per 32 (largest magnitude = 127) and the scaled sums that the
// min and offset terms of the weights need. Rows are padded with zeros to whole blocks.
//
// The row dots of x86 read the codes in an order in which the dots of several vectors add up
// as integers, lane by lane, before anything is scaled:
// - paired (256 bits): of four groups a b c d in quarters of 8 bytes,
//     a0 b0 a2 b2 c0 d0 c2 d2 | a1 b1 a3 b3 c1 d1 c3 d3
//   so that the vectors on both sides of the bar hold the same groups;
// - lanes (512 bits): each lane of four bytes belongs to one of the 16 groups of 16, and
//   vector j holds the j-th four of each.
#pragma once

#include <cstdint>

namespace moebius::cpu {

constexpr int64_t kActivationBlockElements = 256;

enum class DotOrder { kNatural, kPaired, kLanes };

struct alignas(64) ActivationBlock {
  int8_t codes[256];
  float scales[8];      // x = scale * code
  float sums32[8];      // scale * sum of the 32 codes
  float sums16[16];     // scale * sum of 16 codes; that of group g at sum_place(g)
  float dot_scales[16];   // lanes only: the scale of each lane
  int8_t dot_codes[256];  // the codes in the order of the level's row dots
};
// An odd number of cache lines: the blocks of many columns spread evenly over the first cache.
static_assert(sizeof(ActivationBlock) == 11 * 64);

constexpr int64_t activation_blocks(int64_t n) {
  return (n + kActivationBlockElements - 1) / kActivationBlockElements;
}

// Where quarter q (0..3) of group g (0..7) lies in paired order, in bytes.
constexpr int64_t paired_offset(int64_t g, int64_t q) {
  return g / 4 * 128 + q % 2 * 64 + g % 4 / 2 * 32 + q / 2 * 16 + g % 2 * 8;
}

// The lane of a group of 16 (0..15), chosen so that four vectors in natural order become lanes
// by 4 x 4 transpositions within their quarters; and the group of a lane.
constexpr int lane_of_group(int group) { return group % 4 * 4 + group / 4; }
constexpr int group_of_lane(int lane) { return lane_of_group(lane); }

template <DotOrder order>
constexpr int sum_place(int group) {
  return order == DotOrder::kLanes ? lane_of_group(group) : group;
}

}  // namespace moebius::cpu
