// Rounding of input rows to int8 (activations.h). Part of the row dots of every level.
#include <cstring>

#include "kernels/cpu/activations.h"

namespace moebius::cpu {
namespace {

// What the row dots read of group g.
inline void order_for_dots(ActivationBlock& block, int g) {
  if constexpr (Simd::kDotOrder == DotOrder::kPaired)
    for (int quarter = 0; quarter < 4; ++quarter)
      std::memcpy(block.dot_codes + paired_offset(g, quarter), block.codes + g * 32 + quarter * 8, 8);
  if constexpr (Simd::kDotOrder == DotOrder::kLanes)
    for (int half = 2 * g; half < 2 * g + 2; ++half) {
      const int lane = lane_of_group(half);
      for (int vector = 0; vector < 4; ++vector)
        std::memcpy(block.dot_codes + 64 * vector + 4 * lane, block.codes + half * 16 + vector * 4, 4);
      block.dot_scales[lane] = block.scales[g];
    }
}

// One group of 32: values beyond n_valid are zero.
inline void quantize_group(const float* x, int64_t n_valid, ActivationBlock& block, int64_t g) {
  constexpr int kLanes = Simd::kLanes, kVectors = 32 / kLanes;
  Simd::F values[kVectors];
  Simd::F largest = Simd::zero();
  for (int v = 0; v < kVectors; ++v) {
    const int64_t left = n_valid - v * kLanes;
    values[v] = left >= kLanes ? Simd::load(x + v * kLanes)
                : left <= 0    ? Simd::zero()
                               : Simd::load_first(x + v * kLanes, static_cast<int>(left));
    largest = Simd::max(largest, Simd::abs(values[v]));
  }
  // A group that is practically zero becomes zero: its inverse scale would overflow.
  const float amax = Simd::highest(largest);
  const float scale = amax < 1e-30f ? 0.0f : amax / 127.0f;
  const Simd::F inverse = Simd::set1(amax < 1e-30f ? 0.0f : 127.0f / amax);
  int32_t sums[2] = {0, 0};
  for (int v = 0; v < kVectors; ++v)
    sums[v * kLanes / 16] += Simd::store_codes(block.codes + g * 32 + v * kLanes, Simd::mul(values[v], inverse));
  block.scales[g] = scale;
  block.sums32[g] = scale * static_cast<float>(sums[0] + sums[1]);
  for (int half = 0; half < 2; ++half)
    block.sums16[sum_place<Simd::kDotOrder>(static_cast<int>(2 * g) + half)] = scale * static_cast<float>(sums[half]);
  order_for_dots(block, static_cast<int>(g));
}

void quantize_groups(const float* x, int64_t n_valid, int64_t first_group, int64_t n_groups, ActivationBlock* row) {
  for (int64_t i = 0; i < n_groups; ++i)
    quantize_group(x + i * 32, n_valid - i * 32, row[(first_group + i) / 8], (first_group + i) % 8);
}

}  // namespace
}  // namespace moebius::cpu
