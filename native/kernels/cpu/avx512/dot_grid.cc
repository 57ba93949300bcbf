#include "kernels/cpu/simd512.h"

#include "kernels/cpu/dot_grid512.inl"
