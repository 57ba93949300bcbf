// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011): a pure function of a key
// and a counter, the same on every machine, with no state to save.
#pragma once

#include <array>
#include <cstdint>

namespace moebius {

// What a random number of a token is used for; each purpose has its own numbers.
enum class RandomPurpose : uint32_t { kDraw = 0, kXtc = 1 };

std::array<uint32_t, 4> philox_4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1) with 53 random bits, for the token at `position`.
double random_unit(uint64_t seed, int64_t position, RandomPurpose purpose);

}  // namespace moebius
