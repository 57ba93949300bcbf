#include "kernels/cpu/amx/fill_ops.h"
#include "kernels/cpu/amx/registers.h"
#include "kernels/cpu/simd512.h"

namespace moebius::cpu {

const LevelOps& amx_ops() {
  static const LevelOps table = amx_level_ops<TileRegisters, Simd, avx512_bf16_ops>();
  return table;
}

}  // namespace moebius::cpu
