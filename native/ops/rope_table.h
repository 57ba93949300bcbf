// Rotary frequencies and the angle tables of a step. Frequencies are derived once per model
// in f64; the tables of a step are built in f64 and rounded once, because at position 160k
// an f32 angle is only good to 1/64 rad.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/ops.h"

namespace moebius {

enum class RopeScaling { kNone, kLinear, kYarn, kLongRope };

struct RopeSpec {
  int64_t n_rot = 0;  // elements rotated per head, even
  double freq_base = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;  // > 0
  double original_max_seq_len = 0;
  double beta_fast = 32, beta_slow = 1;
  bool rounds_correction_range = true;    // false for gpt-oss
  double magnitude = 1;                   // of cos and sin; derived by the architecture
  std::vector<float> frequency_divisors;  // [n_rot / 2] or empty: Llama-3 and longrope factors
};

// Angle per position of each pair. [n_rot / 2].
struct RopeFrequencies {
  std::vector<double> frequency;
  double magnitude = 1;
  int64_t n_rot() const { return 2 * static_cast<int64_t>(frequency.size()); }
};

// YaRN: arXiv 2309.00071; linear: position interpolation. Throws Error(kGguf) for a spec
// that makes no sense (odd n_rot, factor <= 0, base <= 0, wrong number of divisors).
RopeFrequencies rope_frequencies(const RopeSpec& spec);

// m(x) = 0.1 x ln(factor) + 1 for factor > 1, else 1.
double yarn_magnitude(double factor, double multiplier);

// Tables for the given positions, in scratch.
RopeAngles rope_angles(OpContext& op, const RopeFrequencies& frequencies, std::span<const int64_t> positions,
                       bool with_magnitude = true);

}  // namespace moebius
