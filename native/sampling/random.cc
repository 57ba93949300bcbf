#include "sampling/random.h"

namespace moebius {

std::array<uint32_t, 4> philox_4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * counter[0];
    const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

double random_unit(uint64_t seed, int64_t position, RandomPurpose purpose) {
  const uint64_t where = static_cast<uint64_t>(position);
  const std::array<uint32_t, 4> block =
      philox_4x32({static_cast<uint32_t>(where), static_cast<uint32_t>(where >> 32), static_cast<uint32_t>(purpose), 0},
                  {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = static_cast<uint64_t>(block[0]) << 32 | block[1];
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace moebius
