// The operations of a level with tile registers: those of the best vector level, with the
// packing, expansion and product of quantised prefill tiles replaced.
#pragma once

#include <utility>

#include "kernels/cpu/amx/product.h"

namespace moebius::cpu {
namespace {

template <const LevelOps& (*vector_ops)(), int kFormat>
void expand_signed_tile(const WeightRows& rows, int64_t block, TileBlock* out) {
  vector_ops().expand_tile[kFormat](rows, block, out);
  make_signed(out);
}

template <typename Registers, typename Vector, const LevelOps& (*vector_ops)(), int kFormat>
void fill_amx_format(LevelOps& ops) {
  if (ops.expand_tile[kFormat] == nullptr) return;
  const auto [group, min_group] = ops.code_form[kFormat];
  if (min_group == 0) ops.expand_tile[kFormat] = expand_signed_tile<vector_ops, kFormat>;
  if (group == 32) {
    ops.multiply_tile[kFormat] = min_group == 0    ? AmxProduct<Registers, Vector, 32, false>::multiply
                                 : min_group == 16 ? AmxProduct<Registers, Vector, 32, true, 16>::multiply
                                                   : AmxProduct<Registers, Vector, 32, true>::multiply;
  } else {
    ops.multiply_tile[kFormat] = min_group == 0 ? AmxProduct<Registers, Vector, 16, false>::multiply : AmxProduct<Registers, Vector, 16, true>::multiply;
  }
}

template <typename Registers, typename Vector, const LevelOps& (*vector_ops)()>
LevelOps amx_level_ops() {
  LevelOps ops = vector_ops();
  ops.pack_groups = pack_amx_groups;
  [&]<int... kFormats>(std::integer_sequence<int, kFormats...>) {
    (fill_amx_format<Registers, Vector, vector_ops, kFormats>(ops), ...);
  }(std::make_integer_sequence<int, kMaxFormats>());
  return ops;
}

}  // namespace
}  // namespace moebius::cpu
