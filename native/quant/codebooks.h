// Codebooks of the quant formats: short value lists, and the IQ grids expanded once to one
// int8 per element so that a kernel may load an entry as a 32- or 64-bit word.
#pragma once

#include <bit>
#include <cstdint>

namespace moebius {

// IQ4_NL and IQ4_XS: code -> value.
inline constexpr int8_t kNonLinear4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

// MXFP4 and NVFP4: code -> twice the E2M1 value; the block scale is halved in return.
inline constexpr int8_t kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// IQ1_S and IQ1_M shift a whole group of 8 by plus or minus this.
inline constexpr float kIq1Delta = 0.125f;

// One expanded grid entry per index, element 0 first in memory.
struct Codebooks {
  alignas(64) int8_t iq2xxs[256][8];  // 8, 25, 43
  alignas(64) int8_t iq2xs[512][8];
  alignas(64) int8_t iq2s[1024][8];
  alignas(64) int8_t iq1s[2048][8];   // -1, 0, 1
  alignas(64) int8_t iq3xxs[256][4];  // 4, 12, 20, 28, 36, 44, 52, 62
  alignas(64) int8_t iq3s[512][4];    // 1, 3, ... 15
};

// Built at the first call; thread safe.
const Codebooks& codebooks();

// IQ2_XXS, IQ2_XS, IQ3_XXS: the byte of signs (bit j set = element j negative) that a 7-bit
// code stands for. The number of minus signs is always even.
inline uint8_t iq_sign_byte(uint32_t code) {
  code &= 127;
  return static_cast<uint8_t>(code | ((std::popcount(code) & 1u) << 7));
}

}  // namespace moebius
