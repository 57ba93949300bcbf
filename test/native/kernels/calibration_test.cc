#include "kernels/calibration.h"

#include <string>

#include "base/cpu_features.h"
#include "base/page_buffer.h"
#include "kernels/backend.h"
#include "test.h"

using namespace moebius;

// A loop whose sums the compiler merged, or left out, would not count its rounds.
TEST(peak_loops_do_every_step) {
  const PageBuffer buffer(1 << 16);
  for (const std::string& level : cpu_levels()) {
    const PeakLoops loops = cpu_peak_loops(level);
    CHECK(loops.int8_dot.operations_per_round > 0);
    CHECK(loops.f32_fma.operations_per_round > 0);
    CHECK(loops.int8_dot.run(1) != loops.int8_dot.run(2));
    CHECK(loops.f32_fma.run(1) != loops.f32_fma.run(2));
    const bool arm_products = level == "neon_i8mm";
    CHECK_EQ(loops.bf16_dot.run != nullptr, level == "avx512_bf16" || level == "amx" || (arm_products && cpu_features().neon_bf16));
    // One lane of each of the sixteen sums gains 1 * 1 twice a round, four times in a matrix product.
    if (loops.bf16_dot.run != nullptr) CHECK_NEAR(loops.bf16_dot.run(3), 16 * (arm_products ? 4 : 2) * 3, 1e-3);
    loops.read(buffer.data(), buffer.size());
    if (level == "reference" || level == "amx") continue;  // tile registers: amx_test.cc
    // One lane of each sum gains 4 * 3 * 5 a round (8 in a matrix product), beginning at 1; all sums are equal.
    const float sums = loops.int8_dot.run(0);
    CHECK_EQ(loops.int8_dot.run(7), sums * (1 + 7 * (arm_products ? 120 : 60)));
  }
}
