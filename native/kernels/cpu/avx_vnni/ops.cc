#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

namespace avx_vnni {
void fill_dot_ops(LevelOps& ops);
void fill_vector_ops(LevelOps& ops);
void fill_tile_ops(LevelOps& ops);
void fill_attention_ops(LevelOps& ops);
}  // namespace avx_vnni

const LevelOps& avx_vnni_ops() {
  static const LevelOps table = [] {
    LevelOps ops;
    avx_vnni::fill_dot_ops(ops);
    avx_vnni::fill_vector_ops(ops);
    avx_vnni::fill_tile_ops(ops);
    avx_vnni::fill_attention_ops(ops);
    return ops;
  }();
  return table;
}

}  // namespace moebius::cpu
