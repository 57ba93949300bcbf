#include "kernels/cpu/simd512.h"

#include "kernels/cpu/attention.inl"
