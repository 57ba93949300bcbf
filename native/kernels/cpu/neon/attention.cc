#define MOEBIUS_LEVEL neon
#include "kernels/cpu/simd_neon.h"

#include "kernels/cpu/attention.inl"
