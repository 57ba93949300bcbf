// Matrix products pay where two rows meet two columns: in the tile products alone. All else
// is that of level neon, with attention in bfloat16 where the processor has it.
#include "base/cpu_features.h"
#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace neon_i8mm {
void fill_tile_ops(LevelOps& ops);
}  // namespace neon_i8mm
namespace neon_bf16 {
void fill_bf16_ops(LevelOps& ops);
}  // namespace neon_bf16

const LevelOps& neon_i8mm_ops() {
  static const LevelOps table = [] {
    LevelOps ops = neon_ops();
    neon_i8mm::fill_tile_ops(ops);
    if (cpu_features().neon_bf16) neon_bf16::fill_bf16_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
