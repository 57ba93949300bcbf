#include "kernels/cpu/cpu_table.h"

#include "kernels/backend.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/exact.h"

namespace moebius::cpu {

namespace {

template <const LevelOps& (*ops)()>
const LevelOps& ops_for(const KernelContext& context) {
  static const LevelOps exact = exact_ops(ops());
  return context.exact ? exact : ops();
}

// A slot of the table is a plain function pointer: this binds a level's operations to one.
template <const LevelOps& (*ops)(), auto kernel>
struct Bound;
template <const LevelOps& (*ops)(), typename Result, typename... Arguments,
          Result (*kernel)(const LevelOps&, KernelContext&, Arguments...)>
struct Bound<ops, kernel> {
  static Result call(KernelContext& context, Arguments... arguments) { return kernel(ops_for<ops>(context), context, arguments...); }
};

template <const LevelOps& (*ops)()>
KernelTable table_of() {
  KernelTable table = reference_backend().kernels();
  table.matmul = Bound<ops, matmul>::call;
  table.matmul_heads = Bound<ops, matmul_heads>::call;
  table.dense_ffn = Bound<ops, dense_ffn>::call;
  table.moe_ffn = Bound<ops, moe_ffn>::call;
  table.gather_rows = Bound<ops, gather_rows>::call;
  table.rms_norm = Bound<ops, rms_norm>::call;
  table.rope = Bound<ops, rope>::call;
  table.add = Bound<ops, add>::call;
  table.store_cache_rows = Bound<ops, store_cache_rows>::call;
  table.load_cache_rows = Bound<ops, load_cache_rows>::call;
  table.gqa_attention = Bound<ops, gqa_attention>::call;
  table.mla_absorbed_attention = Bound<ops, mla_absorbed_attention>::call;
  table.mla_expanded_attention = Bound<ops, mla_expanded_attention>::call;
  table.select_experts = Bound<ops, select_experts>::call;
  return table;
}

}  // namespace

KernelTable kernel_table(Level level) {
  switch (level) {
#ifdef MOEBIUS_X86_LEVELS
    case Level::kAvx2: return table_of<avx2_ops>();
    case Level::kAvxVnni: return table_of<avx_vnni_ops>();
    case Level::kAvx512: return table_of<avx512_ops>();
    case Level::kAvx512Bf16: return table_of<avx512_bf16_ops>();
    case Level::kAmx: return table_of<amx_ops>();
#ifdef MOEBIUS_AMX_MODEL
    case Level::kAmxModel: return table_of<amx_model_ops>();
#endif
#endif
#ifdef MOEBIUS_ARM_LEVELS
    case Level::kNeonBase: return table_of<neon_base_ops>();
    case Level::kNeon: return table_of<neon_ops>();
    case Level::kNeonI8mm: return table_of<neon_i8mm_ops>();
#endif
    default: return reference_backend().kernels();
  }
}

bool has_bf16_attention(Level level) {
#ifdef MOEBIUS_X86_LEVELS
  return level == Level::kAvx512Bf16 || level == Level::kAmx;
#elif defined(MOEBIUS_ARM_LEVELS)
  return level == Level::kNeonI8mm && neon_i8mm_ops().bf16.multiply_panel != nullptr;
#else
  (void)level;
  return false;
#endif
}

}  // namespace moebius::cpu
