#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace neon_base {
void fill_dot_ops(LevelOps& ops);
void fill_vector_ops(LevelOps& ops);
void fill_tile_ops(LevelOps& ops);
void fill_attention_ops(LevelOps& ops);
}  // namespace neon_base

const LevelOps& neon_base_ops() {
  static const LevelOps table = [] {
    LevelOps ops;
    neon_base::fill_dot_ops(ops);
    neon_base::fill_vector_ops(ops);
    neon_base::fill_tile_ops(ops);
    neon_base::fill_attention_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
