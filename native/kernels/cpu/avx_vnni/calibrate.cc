#include "kernels/cpu/calibrate256.inl"

namespace moebius::cpu {

PeakLoops avx_vnni_peak_loops() { return simd_peak_loops(int8_rounds); }

}  // namespace moebius::cpu
