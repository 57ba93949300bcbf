// Encoders: how much they lose, and that what a format can hold exactly stays exact.
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "native/golden.h"
#include "native/test.h"
#include "quant/quant_format.h"

using namespace moebius;

static std::vector<uint8_t> encode(const QuantFormatInfo& info, const std::vector<float>& values) {
  const int64_t n = static_cast<int64_t>(values.size());
  std::vector<uint8_t> blocks(quant_row_bytes(info.format, n));
  info.quantize_row(values.data(), blocks.data(), n);
  return blocks;
}

static std::vector<float> decode(const QuantFormatInfo& info, const std::vector<uint8_t>& blocks, size_t n) {
  std::vector<float> values(n);
  info.dequantize_row(blocks.data(), values.data(), static_cast<int64_t>(n));
  return values;
}

static double nmse(const std::vector<float>& actual, const std::vector<float>& expected) {
  double error = 0, power = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    error += std::pow(double{actual[i]} - expected[i], 2);
    power += std::pow(double{expected[i]}, 2);
  }
  return error / power;
}

static std::vector<float> gaussian(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// The error of a good encoder without an importance matrix on Gaussian weights, plus a margin.
TEST(encoders_lose_as_little_as_their_bits_allow) {
  const std::map<std::string, double> limits = {
      {"F32", 0},        {"F16", 1e-7},    {"BF16", 4e-6},   {"Q8_0", 4e-5},   {"Q6_K", 5e-4},
      {"Q5_K", 1.6e-3},  {"Q5_0", 2.6e-3}, {"Q5_1", 2.0e-3}, {"Q4_K", 6.5e-3}, {"Q4_0", 8.5e-3},
      {"Q4_1", 6e-3},    {"IQ4_NL", 6e-3}, {"IQ4_XS", 6.5e-3}, {"MXFP4", 1.35e-2}, {"NVFP4", 1.15e-2},
      {"Q3_K", 2.6e-2},  {"IQ3_S", 1.9e-2}, {"IQ3_XXS", 3.3e-2}, {"Q2_K", 8.5e-2}, {"IQ2_S", 6.2e-2},
      {"IQ2_XS", 9.5e-2}, {"IQ2_XXS", 1.2e-1}, {"IQ1_M", 2.2e-1}, {"IQ1_S", 2.4e-1}, {"TQ1_0", 2.1e-1},
      {"TQ2_0", 2.1e-1}};
  const std::vector<float> values = gaussian(2048, 11);
  for (const QuantFormatInfo* info = quant_formats_begin(); info != quant_formats_end(); ++info) {
    CHECK_EQ(info->quantize_row == nullptr, info->dequantize_row == nullptr);
    if (info->quantize_row == nullptr) continue;
    const double error = nmse(decode(*info, encode(*info, values), values.size()), values);
    const auto limit = limits.find(info->name);
    CHECK(limit != limits.end());
    if (limit != limits.end() && !(error <= limit->second))
      test::fail(info->name, 0, "NMSE " + std::to_string(error) + " is above " + std::to_string(limit->second));
  }
}

TEST(exact_values_stay_exact) {
  for (const char* name : {"Q8_0", "Q4_0", "Q5_0", "TQ1_0", "TQ2_0", "MXFP4"}) {
    const QuantFormatInfo& info = *find_quant_format(name);
    std::mt19937 random(5);
    std::vector<float> values(512);
    const bool ternary = std::string(name).starts_with("TQ");
    const int lo = ternary ? -1 : name[1] == '8' ? -127 : name[1] == '4' ? -8 : name[1] == '5' ? -16 : -4;
    const int hi = ternary ? 1 : name[1] == '8' ? 127 : name[1] == '4' ? 7 : name[1] == '5' ? 15 : 4;
    for (size_t i = 0; i < values.size(); ++i) {
      const int q = lo + static_cast<int>(random() % static_cast<unsigned>(hi - lo + 1));
      // The extreme value in every block fixes the scale to 1/4.
      values[i] = 0.25f * static_cast<float>(i % 32 == 0 ? lo : q);
    }
    CHECK(decode(info, encode(info, values), values.size()) == values);
  }
}

TEST(zero_rows_and_huge_rows_stay_finite) {
  for (const QuantFormatInfo* info = quant_formats_begin(); info != quant_formats_end(); ++info) {
    if (info->quantize_row == nullptr) continue;
    const std::vector<float> zeros(256, 0.0f);
    for (const float value : decode(*info, encode(*info, zeros), 256)) CHECK_EQ(value, 0.0f);
    if (info->block_elements == 1) continue;
    std::vector<float> strange = gaussian(256, 3);
    strange[3] = std::numeric_limits<float>::quiet_NaN();
    strange[70] = INFINITY;
    strange[200] = -INFINITY;
    encode(*info, strange);  // Must not index outside a codebook: sanitizers watch.
  }
}

// Re-encoding what a golden block decodes to gives nearly the same values.
TEST(golden_values_survive_a_round_trip) {
  const test::Golden golden(std::string(MOEBIUS_FIXTURES) + "/quants", "dequant");
  for (const char* name : {"F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q5_0", "Q5_1", "Q4_0", "Q4_1", "IQ4_NL", "IQ4_XS"}) {
    const auto values = golden.array(std::string(name) + ".gauss.values").f32();
    const std::vector<float> expected(values.begin(), values.end());
    const QuantFormatInfo& info = *find_quant_format(name);
    const double error = nmse(decode(info, encode(info, expected), expected.size()), expected);
    if (!(error < 2e-3)) test::fail(name, 0, "NMSE " + std::to_string(error));
  }
}
