// The 16-bit float conversions over every code, against the definitions.
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "native/test.h"
#include "quant/quant_format.h"

using namespace moebius;

static double f16_by_definition(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 0x3ff;
  double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  if (exponent == 31) magnitude = mantissa == 0 ? INFINITY : NAN;
  return bits & 0x8000 ? -magnitude : magnitude;
}

static uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

TEST(every_f16_code_converts_and_returns) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const uint16_t bits = static_cast<uint16_t>(code);
    const float value = f16_to_f32(bits);
    const double expected = f16_by_definition(bits);
    if (std::isnan(expected)) {
      CHECK(std::isnan(value) && std::signbit(value) == (bits >= 0x8000));
      CHECK_EQ(f32_to_f16(value), static_cast<uint16_t>(bits | 0x200));
    } else {
      CHECK_EQ(bits_of(value), bits_of(static_cast<float>(expected)));
      CHECK_EQ(f32_to_f16(value), bits);
    }
  }
}

// Between neighbours a < b: below the middle goes to a, above to b, the middle to the even code.
TEST(f16_rounds_to_nearest_even) {
  for (uint32_t code = 0; code < 0x7bff; ++code) {
    const double a = f16_by_definition(static_cast<uint16_t>(code));
    const double b = f16_by_definition(static_cast<uint16_t>(code + 1));
    const float middle = static_cast<float>((a + b) / 2);  // Exact in f32.
    const uint16_t low = static_cast<uint16_t>(code), high = static_cast<uint16_t>(code + 1);
    CHECK_EQ(f32_to_f16(middle), code % 2 == 0 ? low : high);
    CHECK_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low);
    CHECK_EQ(f32_to_f16(std::nextafter(middle, INFINITY)), high);
    CHECK_EQ(f32_to_f16(-middle), static_cast<uint16_t>(0x8000 | (code % 2 == 0 ? low : high)));
  }
  CHECK_EQ(f32_to_f16(65519.996f), uint16_t{0x7bff});
  CHECK_EQ(f32_to_f16(65520.0f), uint16_t{0x7c00});
  CHECK_EQ(f32_to_f16(1e30f), uint16_t{0x7c00});
  CHECK_EQ(f32_to_f16(-INFINITY), uint16_t{0xfc00});
  CHECK_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), uint16_t{0});
}

TEST(every_bf16_code_converts_and_returns) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const uint16_t bits = static_cast<uint16_t>(code);
    const float value = bf16_to_f32(bits);
    CHECK_EQ(bits_of(value), code << 16);
    CHECK_EQ(f32_to_bf16(value), static_cast<uint16_t>(std::isnan(value) ? bits | 64 : bits));
    if (std::isnan(value) || std::isinf(value)) continue;
    const float middle = std::bit_cast<float>((code << 16) | 0x8000);
    CHECK_EQ(f32_to_bf16(middle), static_cast<uint16_t>(code + code % 2));
    CHECK_EQ(f32_to_bf16(std::bit_cast<float>(bits_of(middle) - 1)), bits);
    CHECK_EQ(f32_to_bf16(std::bit_cast<float>(bits_of(middle) + 1)), static_cast<uint16_t>(code + 1));
  }
}
