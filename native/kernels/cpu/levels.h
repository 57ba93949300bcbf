// The instruction set levels this binary carries, chosen once at run time.
#pragma once

#include <vector>

namespace moebius::cpu {

// Order matters: worst first.
enum class Level { kReference, kAvx2, kAvxVnni, kAvx512, kAvx512Bf16, kNeon };

const char* level_name(Level level);
// Levels this machine can run, kReference always first.
const std::vector<Level>& supported_levels();

}  // namespace moebius::cpu
