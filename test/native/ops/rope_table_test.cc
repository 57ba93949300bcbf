// Rotary frequencies against the formulas of the papers, and what a rotation must preserve.
#include "ops/rope_table.h"

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "native/test.h"
#include "ops/op_case.h"

using namespace moebius;
using namespace moebius::test;

namespace {

RopeSpec yarn(int64_t n_rot, double base, double factor, double original) {
  RopeSpec spec;
  spec.n_rot = n_rot;
  spec.freq_base = base;
  spec.scaling = RopeScaling::kYarn;
  spec.factor = factor;
  spec.original_max_seq_len = original;
  return spec;
}

// First and last pair that YaRN changes: below it keeps the frequency, above it divides.
void check_ramp(const RopeSpec& spec, int64_t low, int64_t high) {
  const RopeFrequencies scaled = rope_frequencies(spec);
  RopeSpec plain_spec = spec;
  plain_spec.scaling = RopeScaling::kNone;
  const RopeFrequencies plain = rope_frequencies(plain_spec);
  for (int64_t pair = 0; pair < spec.n_rot / 2; ++pair) {
    const double ratio =
        scaled.frequency[static_cast<size_t>(pair)] / plain.frequency[static_cast<size_t>(pair)];
    const double ramp =
        std::min(1.0, std::max(0.0, static_cast<double>(pair - low) / static_cast<double>(high - low)));
    CHECK_NEAR(ratio, ramp / spec.factor + (1 - ramp), 1e-12);
  }
}

}  // namespace

TEST(yarn_ramps_of_known_models) {
  check_ramp(yarn(64, 10000, 40, 4096), 10, 23);  // DeepSeek-V3
  check_ramp(yarn(64, 50000, 32, 4096), 8, 20);   // Kimi-K2
  check_ramp(yarn(64, 150000, 32, 4096), 8, 18);  // gpt-oss, rounded
}

TEST(unrounded_correction_range) {
  RopeSpec spec = yarn(64, 150000, 32, 4096);
  spec.rounds_correction_range = false;
  const double low = 64 * std::log(4096 / (32 * 2 * std::numbers::pi)) / (2 * std::log(150000.0));
  const double high = 64 * std::log(4096 / (2 * std::numbers::pi)) / (2 * std::log(150000.0));
  const RopeFrequencies scaled = rope_frequencies(spec);
  const double ramp = (12 - low) / (high - low), plain = std::pow(150000.0, -24.0 / 64);
  CHECK_NEAR(scaled.frequency[12] / plain, ramp / 32 + 1 - ramp, 1e-12);
}

TEST(magnitudes) {
  CHECK_NEAR(yarn_magnitude(40, 1), 1.36889, 1e-5);
  CHECK_NEAR(yarn_magnitude(32, 1), 1.34657, 1e-5);
  CHECK_NEAR(yarn_magnitude(1, 1), 1, 0);
}

TEST(linear_and_divisors) {
  RopeSpec spec;
  spec.n_rot = 8;
  spec.scaling = RopeScaling::kLinear;
  spec.factor = 8;
  CHECK_NEAR(rope_frequencies(spec).frequency[1], std::pow(10000.0, -2.0 / 8) / 8, 1e-15);
  spec.scaling = RopeScaling::kNone;
  spec.frequency_divisors = {1, 2, 4, 8};
  CHECK_NEAR(rope_frequencies(spec).frequency[3], std::pow(10000.0, -6.0 / 8) / 8, 1e-15);
  spec.frequency_divisors = {1, 2};
  CHECK_THROWS(Error, "divisor", rope_frequencies(spec));
  spec.frequency_divisors = {1, 2, 0, 8};
  CHECK_THROWS(Error, "divisors > 0", rope_frequencies(spec));
}

TEST(nonsense_is_refused) {
  RopeSpec spec;
  spec.n_rot = 7;
  CHECK_THROWS(Error, "even", rope_frequencies(spec));
  spec.n_rot = 8;
  spec.factor = 0;
  CHECK_THROWS(Error, "factor", rope_frequencies(spec));
  spec = yarn(8, 1, 2, 100);
  CHECK_THROWS(Error, "freq_base", rope_frequencies(spec));
  spec = yarn(8, 100, 2, 0);
  CHECK_THROWS(Error, "original_context_length", rope_frequencies(spec));
}

TEST(angles_are_good_at_long_positions) {
  OpCase test;
  const RopeFrequencies frequencies = rope_frequencies(yarn(64, 10000, 40, 4096));
  const std::vector<int64_t> positions = {0, 1, 4095, 163839};
  const RopeAngles angles = rope_angles(test.op, frequencies, positions);
  for (size_t token = 0; token < positions.size(); ++token)
    for (size_t pair = 0; pair < 32; ++pair) {
      const long double angle =
          static_cast<long double>(positions[token]) * static_cast<long double>(frequencies.frequency[pair]);
      CHECK_NEAR(angles.cos[token * 32 + pair], static_cast<double>(cosl(angle)), 1e-7);
      CHECK_NEAR(angles.sin[token * 32 + pair], static_cast<double>(sinl(angle)), 1e-7);
    }
}

// Moving query and key by the same offset leaves their product alone, for both pairings.
TEST(scores_depend_on_distance_only) {
  for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalfSplit}) {
    const auto score = [&](int64_t query_position, int64_t key_position) {
      OpCase test;
      RopeSpec spec;
      spec.n_rot = 16;
      const RopeFrequencies frequencies = rope_frequencies(spec);
      const Rows q = test.filled(1, 20), k = test.filled(1, 20, -0.3f);
      const std::vector<int64_t> qp = {query_position}, kp = {key_position};
      rope(test.op, q, 20, 0, rope_angles(test.op, frequencies, qp), pairing);
      rope(test.op, k, 20, 0, rope_angles(test.op, frequencies, kp), pairing);
      double sum = 0;
      for (int i = 0; i < 20; ++i) sum += static_cast<double>(q.data[i]) * static_cast<double>(k.data[i]);
      return sum;
    };
    CHECK_NEAR(score(17, 5), score(117, 105), 1e-5);
    CHECK(std::fabs(score(17, 5) - score(17, 6)) > 1e-3);
  }
}
