#include "kernels/cpu/simd256.h"

#include "kernels/cpu/tiles.inl"
