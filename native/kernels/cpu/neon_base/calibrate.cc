#define MOEBIUS_LEVEL neon_base
#include "kernels/cpu/calibrate_neon.inl"

namespace moebius::cpu {

PeakLoops neon_base_peak_loops() { return simd_peak_loops(int8_rounds); }

}  // namespace moebius::cpu
