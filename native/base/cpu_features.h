// What the processor and the operating system together allow. Read once, at the first call.
// A flag is set only when the instructions exist AND the system saves their registers.
#pragma once

#include <string>

namespace moebius {

struct CpuFeatures {
  // x86-64
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool bmi2 = false;
  bool avx_vnni = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512dq = false;
  bool avx512vl = false;
  bool avx512_vnni = false;
  bool avx512_vbmi = false;
  bool avx512_bf16 = false;
  bool amx_int8 = false;
  bool amx_bf16 = false;
  // AArch64
  bool neon = false;
  bool neon_dotprod = false;
  bool neon_i8mm = false;
  bool neon_bf16 = false;
};

const CpuFeatures& cpu_features();

// "AMD EPYC 9555 64-Core Processor"; "unknown CPU" when the system does not say.
const std::string& cpu_brand();

// Logical processors this process may use: affinity mask and container quota included, >= 1.
int usable_cpu_count();

// Physical cores among them (SMT siblings counted once), >= 1.
int physical_core_count();

}  // namespace moebius
