// Exact mode: a level's operations with everything that loses precision done in f64 and
// rounded once, so that only the storing of activations as f32 is left. Plain loops, compiled
// for the baseline: exactness is for proofs and comparisons, not for speed.
#pragma once

#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

LevelOps exact_ops(const LevelOps& level);

}  // namespace moebius::cpu
