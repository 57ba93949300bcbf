#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace avx512 {
void fill_dot_ops(LevelOps& ops);
void fill_grid_dot_ops(LevelOps& ops);
void fill_vector_ops(LevelOps& ops);
void fill_tile_ops(LevelOps& ops);
void fill_attention_ops(LevelOps& ops);
}  // namespace avx512

const LevelOps& avx512_ops() {
  static const LevelOps table = [] {
    LevelOps ops;
    avx512::fill_dot_ops(ops);
    avx512::fill_grid_dot_ops(ops);
    avx512::fill_vector_ops(ops);
    avx512::fill_tile_ops(ops);
    avx512::fill_attention_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
