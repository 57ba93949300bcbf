#include "kernels/cpu/levels.h"

#include "base/cpu_features.h"
#include "base/tile_permission.h"
#include "kernels/cpu/amx_check.h"

namespace moebius::cpu {

namespace {

struct Detected {
  std::vector<Level> levels = {Level::kReference};
  std::string missing_reason;
};

#if defined(MOEBIUS_X86_LEVELS)
// The permission, then the check: its products need the permission.
std::string amx_fault() {
  const std::string& refusal = request_tile_registers();
  return refusal.empty() ? tile_product_fault(amx_ops(), avx512_ops()) : refusal;
}

Detected detect() {
  Detected detected;
  std::vector<Level>& levels = detected.levels;
  const CpuFeatures& has = cpu_features();
  if (!(has.avx2 && has.fma && has.f16c && has.bmi2)) return detected;
  levels.push_back(Level::kAvx2);
  if (has.avx_vnni) levels.push_back(Level::kAvxVnni);
  if (!(has.avx512f && has.avx512bw && has.avx512dq && has.avx512vl && has.avx512_vnni)) return detected;
  levels.push_back(Level::kAvx512);
  if (has.avx512_bf16) levels.push_back(Level::kAvx512Bf16);
  if (!(has.avx512_bf16 && has.amx_int8)) return detected;
  const std::string fault = amx_fault();
  if (fault.empty()) {
    levels.push_back(Level::kAmx);
  } else {
    detected.missing_reason = "the level amx is not used: " + fault;
  }
  return detected;
}
#elif defined(MOEBIUS_ARM_LEVELS)
Detected detect() {
  Detected detected;
  const CpuFeatures& has = cpu_features();
  if (!has.neon) return detected;
  detected.levels.push_back(Level::kNeonBase);
  if (!has.neon_dotprod) return detected;
  detected.levels.push_back(Level::kNeon);
  if (has.neon_i8mm) detected.levels.push_back(Level::kNeonI8mm);
  return detected;
}
#else
Detected detect() { return {}; }
#endif

const Detected& detected() {
  static const Detected once = detect();
  return once;
}

}  // namespace

const char* level_name(Level level) {
  switch (level) {
    case Level::kReference: return "reference";
    case Level::kAvx2: return "avx2";
    case Level::kAvxVnni: return "avx_vnni";
    case Level::kAvx512: return "avx512";
    case Level::kAvx512Bf16: return "avx512_bf16";
    case Level::kAmx: return "amx";
    case Level::kNeonBase: return "neon_base";
    case Level::kNeon: return "neon";
    case Level::kNeonI8mm: return "neon_i8mm";
    case Level::kAmxModel: return "amx_model";
  }
  return "reference";
}

const std::vector<Level>& supported_levels() { return detected().levels; }

const std::vector<Level>& modelled_levels() {
  static const std::vector<Level> levels = [] {
    std::vector<Level> models;
#if defined(MOEBIUS_X86_LEVELS) && defined(MOEBIUS_AMX_MODEL)
    for (Level level : supported_levels())
      if (level == Level::kAvx512) models.push_back(Level::kAmxModel);
#endif
    return models;
  }();
  return levels;
}

const std::string& missing_level_reason() { return detected().missing_reason; }

}  // namespace moebius::cpu
