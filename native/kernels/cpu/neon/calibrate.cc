#define MOEBIUS_LEVEL neon
#include "kernels/cpu/calibrate_neon.inl"

namespace moebius::cpu {

PeakLoops neon_peak_loops() { return simd_peak_loops(int8_rounds); }

}  // namespace moebius::cpu
