#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace avx2 {
void fill_dot_ops(LevelOps& ops);
void fill_vector_ops(LevelOps& ops);
void fill_tile_ops(LevelOps& ops);
void fill_attention_ops(LevelOps& ops);
}  // namespace avx2

const LevelOps& avx2_ops() {
  static const LevelOps table = [] {
    LevelOps ops;
    avx2::fill_dot_ops(ops);
    avx2::fill_vector_ops(ops);
    avx2::fill_tile_ops(ops);
    avx2::fill_attention_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
