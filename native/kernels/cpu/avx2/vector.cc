#include "kernels/cpu/simd256.h"

#include "kernels/cpu/vector.inl"
