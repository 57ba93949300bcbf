// What the int8 kernels make of a weight, read out with unit vectors: 127 at one place is an
// activation that int8 holds exactly, so every product is one weight. Formats that expand
// without rounding must give the decoder's value; the others stay within half a step of an
// int8 block with a scale of its own.
#include <algorithm>

#include "native/kernels/kernel_cases.h"

namespace {

using namespace moebius;
using namespace moebius::test;

constexpr int64_t kWidth = 256, kRows = 37;

bool is_requantised(QuantFormat format) {
  switch (format) {
    case QuantFormat::kQ6_K:
    case QuantFormat::kIQ2_XS:
    case QuantFormat::kIQ2_S:
    case QuantFormat::kIQ1_M:
    case QuantFormat::kNVFP4: return true;
    default: return false;
  }
}

// [kWidth columns, kRows]: column i holds the weights that input i meets.
std::vector<float> read_out(const KernelTable& kernels, const Matrix& weights, Phase phase) {
  std::vector<float> units(static_cast<size_t>(kWidth * kWidth), 0.0f);
  for (int64_t i = 0; i < kWidth; ++i) units[static_cast<size_t>(i * kWidth + i)] = 127;
  KernelContext context;
  context.phase = phase;
  std::vector<float> y(static_cast<size_t>(kWidth * kRows));
  const MatmulJob job{weights, nullptr, y.data(), kRows};
  kernels.matmul(context, units.data(), kWidth, kWidth, &job, 1);
  for (float& value : y) value /= 127;
  return y;
}

// Largest error of a row as a share of what is allowed; above 1 is a failure.
double worst_share(QuantFormat format, const std::vector<float>& decoded, const std::vector<float>& got, int64_t row) {
  double largest = 0, worst = 0;
  for (float value : decoded) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  for (int64_t group = 0; group < kWidth; group += 32) {
    double group_largest = 0, error = 0;
    for (int64_t i = group; i < group + 32; ++i) {
      const double value = decoded[static_cast<size_t>(i)];
      group_largest = std::max(group_largest, std::fabs(value));
      error = std::max(error, std::fabs(static_cast<double>(got[static_cast<size_t>(i * kRows + row)]) - value));
    }
    // f32 rounding of code times scale, less a minimum.
    const double rounding = 1e-6 * largest;
    worst = std::max(worst, error / (rounding + (is_requantised(format) ? 0.5 / 127 * group_largest : 0)));
  }
  return worst;
}

}  // namespace

TEST(int8_kernels_see_the_decoded_weights) {
  uint32_t seed = 500;
  for (const QuantFormatInfo* info : weight_formats()) {
    if (is_float(info->format)) continue;
    // Rows of real files start at any even address.
    const TestMatrix weights(info->format, kWidth, kRows, ++seed, 1, /*shift=*/2);
    for (const std::string& level : fast_levels()) {
      for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
        const std::vector<float> got = read_out(cpu_backend_at(level).kernels(), weights.view, phase);
        double worst = 0;
        std::vector<float> decoded(static_cast<size_t>(kWidth));
        for (int64_t row = 0; row < kRows; ++row) {
          info->dequantize_row(weights.bytes.data() + 2 + static_cast<size_t>(row) * weights.view.row_bytes, decoded.data(), kWidth);
          worst = std::max(worst, worst_share(info->format, decoded, got, row));
        }
        if (!(worst <= 1))
          fail(info->name, 0, level + (phase == Phase::kDecode ? " decode" : " prefill") + ": " + std::to_string(worst) + " of the error allowed");
      }
    }
  }
}
