#include "kernels/cpu/simd256.h"

#include "kernels/cpu/attention.inl"
