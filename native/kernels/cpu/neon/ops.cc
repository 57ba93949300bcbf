#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace neon {
void fill_dot_ops(LevelOps& ops);
void fill_vector_ops(LevelOps& ops);
void fill_tile_ops(LevelOps& ops);
void fill_attention_ops(LevelOps& ops);
}  // namespace neon

const LevelOps& neon_ops() {
  static const LevelOps table = [] {
    LevelOps ops;
    neon::fill_dot_ops(ops);
    neon::fill_vector_ops(ops);
    neon::fill_tile_ops(ops);
    neon::fill_attention_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
