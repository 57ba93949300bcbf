#include "kernels/cpu/simd512.h"

#include "kernels/cpu/tiles.inl"
