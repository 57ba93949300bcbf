#include "kernels/cpu/simd256.h"

#include "kernels/cpu/dot.inl"
