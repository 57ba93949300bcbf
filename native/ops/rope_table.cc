#include "ops/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace moebius {

namespace {

// Index of the dimension pair that turns `rotations` times over the original length.
double correction_dimension(const RopeSpec& spec, double rotations) {
  return static_cast<double>(spec.n_rot) *
         std::log(spec.original_max_seq_len / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(spec.freq_base));
}

struct CorrectionRange {
  double low, high;
};

CorrectionRange correction_range(const RopeSpec& spec) {
  double low = correction_dimension(spec, spec.beta_fast);
  double high = correction_dimension(spec, spec.beta_slow);
  if (spec.rounds_correction_range) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  return {std::max(low, 0.0), std::min(high, static_cast<double>(spec.n_rot - 1))};
}

double yarn_frequency(const RopeSpec& spec, const CorrectionRange& range, double frequency, int64_t pair) {
  const double width = std::max(range.high - range.low, 0.001);
  const double ramp = std::clamp((static_cast<double>(pair) - range.low) / width, 0.0, 1.0);
  return frequency / spec.factor * ramp + frequency * (1 - ramp);
}

void check(const RopeSpec& spec) {
  const auto refuse = [](const char* what, double value) {
    throw Error(ErrorCode::kGguf, format_text("rope: %s, got %g", what, value));
  };
  if (spec.n_rot <= 0 || spec.n_rot % 2 != 0)
    refuse("expected a positive even rope.dimension_count", static_cast<double>(spec.n_rot));
  if (!(spec.freq_base > 1) || !std::isfinite(spec.freq_base))
    refuse("expected rope.freq_base > 1", spec.freq_base);
  if (!(spec.factor > 0) || !std::isfinite(spec.factor))
    refuse("expected rope.scaling.factor > 0", spec.factor);
  if (spec.scaling == RopeScaling::kYarn &&
      !(spec.original_max_seq_len > 0 && spec.beta_fast > 0 && spec.beta_slow > 0))
    refuse("expected rope.scaling.original_context_length > 0 for yarn", spec.original_max_seq_len);
  if (!spec.frequency_divisors.empty() &&
      static_cast<int64_t>(spec.frequency_divisors.size()) != spec.n_rot / 2)
    refuse("expected one frequency divisor for each pair",
           static_cast<double>(spec.frequency_divisors.size()));
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeSpec& spec) {
  check(spec);
  RopeFrequencies result;
  result.magnitude = spec.magnitude;
  result.frequency.resize(static_cast<size_t>(spec.n_rot / 2));
  const CorrectionRange range =
      spec.scaling == RopeScaling::kYarn ? correction_range(spec) : CorrectionRange{0, 0};
  for (int64_t pair = 0; pair < spec.n_rot / 2; ++pair) {
    double frequency =
        std::pow(spec.freq_base, -2.0 * static_cast<double>(pair) / static_cast<double>(spec.n_rot));
    if (!spec.frequency_divisors.empty()) {
      const double divisor = spec.frequency_divisors[static_cast<size_t>(pair)];
      if (!(divisor > 0))
        throw Error(ErrorCode::kGguf, format_text("rope: expected frequency divisors > 0, got %g", divisor));
      frequency /= divisor;
    }
    if (spec.scaling == RopeScaling::kLinear) frequency /= spec.factor;
    if (spec.scaling == RopeScaling::kYarn) frequency = yarn_frequency(spec, range, frequency, pair);
    result.frequency[static_cast<size_t>(pair)] = frequency;
  }
  return result;
}

double yarn_magnitude(double factor, double multiplier) {
  return factor > 1 ? 0.1 * multiplier * std::log(factor) + 1 : 1;
}

RopeAngles rope_angles(OpContext& op, const RopeFrequencies& frequencies, std::span<const int64_t> positions,
                       bool with_magnitude) {
  const size_t half = frequencies.frequency.size();
  const int64_t n = static_cast<int64_t>(positions.size());
  float* cos = op.kernel.scratch->take<float>(n * static_cast<int64_t>(half));
  float* sin = op.kernel.scratch->take<float>(n * static_cast<int64_t>(half));
  const double magnitude = with_magnitude ? frequencies.magnitude : 1;
  for (size_t token = 0; token < positions.size(); ++token) {
    for (size_t pair = 0; pair < half; ++pair) {
      const double angle = static_cast<double>(positions[token]) * frequencies.frequency[pair];
      cos[token * half + pair] = static_cast<float>(std::cos(angle) * magnitude);
      sin[token * half + pair] = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
  return {cos, sin, n, frequencies.n_rot()};
}

}  // namespace moebius
