#define MOEBIUS_LEVEL neon_i8mm
#include "kernels/cpu/simd_neon.h"

#include "kernels/cpu/tiles_neon.inl"
