// How much memory there is for this process: the machine's, a container's limit, its own.
#pragma once

#include <cstdint>

namespace moebius::addon {

struct MemoryInfo {
  uint64_t total_bytes = 0;      // of the machine, or the container's limit when that is lower
  uint64_t available_bytes = 0;  // can be taken without swapping; file pages count as free
  uint64_t process_bytes = 0;    // resident, mapped weights included
};

// Zero for what the system does not tell. Never throws.
MemoryInfo memory_info();

}  // namespace moebius::addon
