// Inputs of the kernel tests: random but valid matrices of every quant_format, vectors,
// levels, and the error measure. The reference backend is the oracle everywhere.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "native/test.h"
#include "quant/quant_format.h"

namespace moebius::test {

class Random {
 public:
  explicit Random(uint32_t seed) : generator_(seed) {}
  float normal() { return normal_(generator_); }
  uint32_t bits() { return static_cast<uint32_t>(generator_()); }
  int below(int n) { return static_cast<int>(generator_() % static_cast<uint32_t>(n)); }
  std::vector<float> vector(int64_t n, float scale = 1) {
    std::vector<float> out(static_cast<size_t>(n));
    for (float& value : out) value = scale * normal();
    return out;
  }

 private:
  std::mt19937 generator_;
  std::normal_distribution<float> normal_{0, 1};
};

// Offsets of the f16 fields of a block, -1 behind the last.
inline const int* half_fields(QuantFormat format) {
  static constexpr int kFirst[] = {0, -1}, kPair[] = {0, 2, -1}, kQ2_K[] = {80, 82, -1}, kQ3_K[] = {108, -1},
                       kQ6_K[] = {208, -1}, kTQ2_0[] = {64, -1}, kTQ1_0[] = {52, -1}, kNone[] = {-1};
  switch (format) {
    case QuantFormat::kQ4_1: case QuantFormat::kQ5_1: case QuantFormat::kQ4_K: case QuantFormat::kQ5_K: return kPair;
    case QuantFormat::kQ2_K: return kQ2_K;
    case QuantFormat::kQ3_K: return kQ3_K;
    case QuantFormat::kQ6_K: return kQ6_K;
    case QuantFormat::kTQ1_0: return kTQ1_0;
    case QuantFormat::kTQ2_0: return kTQ2_0;
    case QuantFormat::kIQ1_M: case QuantFormat::kMXFP4: case QuantFormat::kNVFP4: return kNone;
    default: return kFirst;
  }
}

inline void put_half(uint8_t* p, float value) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(p, &bits, sizeof bits);
}

// Random bytes with scales of either sign and of sane size.
inline void fill_block(QuantFormat format, Random& random, uint8_t* block, int64_t bytes) {
  for (int64_t i = 0; i < bytes; ++i) block[i] = static_cast<uint8_t>(random.bits() >> 13);
  for (const int* at = half_fields(format); *at >= 0; ++at) put_half(block + *at, 0.02f * random.normal());
  if (format == QuantFormat::kMXFP4) block[0] = static_cast<uint8_t>(118 + random.below(8));
  if (format == QuantFormat::kNVFP4)
    for (int i = 0; i < 4; ++i) block[i] = static_cast<uint8_t>(0x20 + random.below(0x20));
  if (format == QuantFormat::kIQ1_M) {
    const uint16_t d = f32_to_f16(0.02f * random.normal());
    for (int i = 0; i < 4; ++i)
      block[48 + 2 * i + 1] = static_cast<uint8_t>((block[48 + 2 * i + 1] & 15) | (((d >> (4 * i)) & 15) << 4));
  }
}

// A stack of matrices and its bytes. `shift` moves the data off its alignment.
struct TestMatrix {
  std::vector<uint8_t> bytes;
  Matrix view;

  TestMatrix(QuantFormat format, int64_t n_in, int64_t n_out, uint32_t seed, int64_t n_matrices = 1, size_t shift = 0) {
    const QuantFormatInfo& info = quant_format_info(format);
    view.format = format;
    view.n_in = n_in;
    view.n_out = n_out;
    view.n_matrices = n_matrices;
    view.row_bytes = quant_row_bytes(format, n_in);
    view.matrix_stride = view.row_bytes * static_cast<size_t>(n_out);
    bytes.resize(view.matrix_stride * static_cast<size_t>(n_matrices) + shift);
    Random random(seed);
    uint8_t* data = bytes.data() + shift;
    view.data = data;
    if (info.block_elements == 1) {
      for (size_t i = 0; i < static_cast<size_t>(n_in * n_out * n_matrices); ++i) {
        const float value = random.normal();
        if (format == QuantFormat::kF32) std::memcpy(data + 4 * i, &value, 4);
        const uint16_t half = format == QuantFormat::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
        if (format != QuantFormat::kF32) std::memcpy(data + 2 * i, &half, 2);
      }
      return;
    }
    for (size_t at = 0; at < view.matrix_stride * static_cast<size_t>(n_matrices); at += static_cast<size_t>(info.block_bytes))
      fill_block(format, random, data + at, info.block_bytes);
  }
  TestMatrix(const TestMatrix&) = delete;
  TestMatrix& operator=(const TestMatrix&) = delete;
};

inline std::vector<const QuantFormatInfo*> weight_formats() {
  std::vector<const QuantFormatInfo*> all;
  for (const QuantFormatInfo* info = quant_formats_begin(); info != quant_formats_end(); ++info)
    if (info->dequantize_row != nullptr) all.push_back(info);
  return all;
}

inline bool is_float(QuantFormat format) {
  return format == QuantFormat::kF32 || format == QuantFormat::kF16 || format == QuantFormat::kBF16;
}

// sum (a - b)^2 / sum b^2
inline double nmse(const std::vector<float>& actual, const std::vector<float>& expected) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = static_cast<double>(actual[i]) - expected[i];
    error += difference * difference;
    energy += static_cast<double>(expected[i]) * expected[i];
  }
  return energy > 0 ? error / energy : error;
}

// Tolerances: float arithmetic, int8 activations, and the exact mode.
constexpr double kFloatNmse = 1e-7, kCodesNmse = 5e-4, kExactNmse = 1e-9;

// Levels of the CPU backend that have kernels of their own, and models of such levels.
inline std::vector<std::string> fast_levels() {
  std::vector<std::string> levels = cpu_levels();
  levels.erase(levels.begin());
  for (const std::string& level : modelled_cpu_levels()) levels.push_back(level);
  return levels;
}

inline bool identical(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// What a failing check should name.
inline void check_below(const std::string& what, double value, double limit) {
  if (!(value <= limit)) fail(what.c_str(), 0, "NMSE " + std::to_string(value * 1e9) + "e-9 above " + std::to_string(limit * 1e9) + "e-9");
}

}  // namespace moebius::test
