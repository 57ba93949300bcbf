// Only attention in bfloat16 is its own; all else is that of level avx512.
#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace avx512_bf16 {
void fill_bf16_ops(LevelOps& ops);
}  // namespace avx512_bf16

const LevelOps& avx512_bf16_ops() {
  static const LevelOps table = [] {
    LevelOps ops = avx512_ops();
    avx512_bf16::fill_bf16_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
