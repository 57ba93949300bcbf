#define MOEBIUS_LEVEL neon_base
#include "kernels/cpu/simd_neon.h"

#include "kernels/cpu/attention.inl"
