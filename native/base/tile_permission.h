// The tile registers of AMX are large: a process asks the operating system for them.
#pragma once

#include <string>

namespace moebius {

// "" when every thread of this process may use them from now on, else why not. Asks once;
// only for processors that have them (cpu_features().amx_int8).
const std::string& request_tile_registers();

}  // namespace moebius
