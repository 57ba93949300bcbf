// Exact mode: a level's operations with everything that loses precision done in f64 and
// rounded once, so that only the storing of activations as f32 is left. The products are the
// level's (exact_products.inl); the rest is plain loops, compiled for the baseline.
#pragma once

#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

LevelOps exact_ops(const LevelOps& level);

}  // namespace moebius::cpu
