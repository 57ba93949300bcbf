#include "kernels/cpu/levels.h"

#include "base/cpu_features.h"

namespace moebius::cpu {

namespace {

std::vector<Level> detect() {
  std::vector<Level> levels = {Level::kReference};
  const CpuFeatures& has = cpu_features();
#ifndef MOEBIUS_X86_LEVELS
  return levels;
#endif
  if (!(has.avx2 && has.fma && has.f16c && has.bmi2)) return levels;
  levels.push_back(Level::kAvx2);
  if (has.avx_vnni) levels.push_back(Level::kAvxVnni);
  if (!(has.avx512f && has.avx512bw && has.avx512dq && has.avx512vl && has.avx512_vnni)) return levels;
  levels.push_back(Level::kAvx512);
  if (has.avx512_bf16) levels.push_back(Level::kAvx512Bf16);
  return levels;
}

}  // namespace

const char* level_name(Level level) {
  switch (level) {
    case Level::kReference: return "reference";
    case Level::kAvx2: return "avx2";
    case Level::kAvxVnni: return "avx_vnni";
    case Level::kAvx512: return "avx512";
    case Level::kAvx512Bf16: return "avx512_bf16";
    case Level::kNeon: return "neon";
  }
  return "reference";
}

const std::vector<Level>& supported_levels() {
  static const std::vector<Level> levels = detect();
  return levels;
}

}  // namespace moebius::cpu
