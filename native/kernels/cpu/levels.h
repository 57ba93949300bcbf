// The instruction set levels this binary carries, chosen once at run time.
#pragma once

#include <string>
#include <vector>

namespace moebius::cpu {

// Order matters: worst first. kAmxModel is the amx level without the hardware, for tests.
enum class Level { kReference, kAvx2, kAvxVnni, kAvx512, kAvx512Bf16, kAmx, kNeonBase, kNeon, kNeonI8mm, kAmxModel };

const char* level_name(Level level);
// Levels this machine can run, kReference always first.
const std::vector<Level>& supported_levels();
// What only builds with tests have: software models of hardware, slow and never chosen.
const std::vector<Level>& modelled_levels();
// Why a level that the processor has is not among the supported ones; "" when none is missing.
const std::string& missing_level_reason();

}  // namespace moebius::cpu
