// The KernelTable of one instruction set level.
#pragma once

#include "kernels/cpu/level_ops.h"
#include "kernels/cpu/levels.h"
#include "kernels/kernels.h"

namespace moebius::cpu {

// Plain loops for kReference; call only for supported levels.
KernelTable kernel_table(Level);
bool has_bf16_attention(Level);

}  // namespace moebius::cpu
