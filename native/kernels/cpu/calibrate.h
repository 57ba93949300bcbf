// The calibration loops of each instruction set level.
#pragma once

#include "kernels/calibration.h"

namespace moebius::cpu {

#ifdef MOEBIUS_X86_LEVELS
PeakLoops avx2_peak_loops();
PeakLoops avx_vnni_peak_loops();
PeakLoops avx512_peak_loops();
// The loop of bfloat16 dots in 512 bits; only for processors that have it.
PeakLoop avx512_bf16_dot_loop();
// Full tile registers; only for the amx level.
PeakLoop amx_int8_loop();
#endif
#ifdef MOEBIUS_ARM_LEVELS
PeakLoops neon_base_peak_loops();
PeakLoops neon_peak_loops();
PeakLoops neon_i8mm_peak_loops();
// The loop of bfloat16 matrix products; only for processors that have them.
PeakLoop neon_bf16_product_loop();
#endif

}  // namespace moebius::cpu
