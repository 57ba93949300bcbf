// Which levels a processor gets. Under an emulator that plays a certain processor,
// MOEBIUS_EXPECTED_LEVELS says what must be found there.
#include <algorithm>
#include <cstdlib>

#include "base/cpu_features.h"
#include "native/kernels/kernel_cases.h"

using namespace moebius;
using namespace moebius::test;

namespace {

bool has_level(const std::string& name) {
  const std::vector<std::string> levels = cpu_levels();
  return std::find(levels.begin(), levels.end(), name) != levels.end();
}

}  // namespace

TEST(levels_are_those_the_processor_has) {
  const CpuFeatures& has = cpu_features();
  CHECK_EQ(cpu_levels().front(), "reference");
  CHECK(!has_level("neon_base") || has.neon);
  CHECK(!has_level("neon") || has.neon_dotprod);
  CHECK(!has_level("neon_i8mm") || has.neon_i8mm);
  CHECK(!has_level("avx2") || (has.avx2 && has.fma && has.f16c));
  CHECK(!has_level("avx512_bf16") || has.avx512_bf16);
  CHECK_EQ(cpu_backend().level(), std::getenv("MOEBIUS_ISA") != nullptr ? std::getenv("MOEBIUS_ISA") : cpu_levels().back());
  const char* expected = std::getenv("MOEBIUS_EXPECTED_LEVELS");
  if (expected == nullptr) return;
  std::string found;
  for (const std::string& name : cpu_levels()) found += (found.empty() ? "" : " ") + name;
  CHECK_EQ(found, std::string(expected));
}
