// Matrix products pay where two rows meet two columns: in the tile products alone. All else
// is that of level neon.
#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace neon_i8mm {
void fill_tile_ops(LevelOps& ops);
}  // namespace neon_i8mm

const LevelOps& neon_i8mm_ops() {
  static const LevelOps table = [] {
    LevelOps ops = neon_ops();
    neon_i8mm::fill_tile_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
