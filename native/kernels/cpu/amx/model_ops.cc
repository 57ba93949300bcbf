// The amx level over the software model of the registers: only in builds with tests.
#include "kernels/cpu/amx/fill_ops.h"
#include "kernels/cpu/amx/register_model.h"
#include "kernels/cpu/simd512.h"

namespace moebius::cpu {

const LevelOps& amx_model_ops() {
  static const LevelOps table = amx_level_ops<RegisterModel, Simd, avx512_ops>();
  return table;
}

}  // namespace moebius::cpu
