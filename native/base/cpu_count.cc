#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "base/cpu_features.h"

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include "base/windows_api.h"

#include <vector>
#endif

namespace moebius {

namespace {

struct CpuCounts {
  int usable = 1;
  int physical = 1;
};

#if defined(__linux__)
// A container may own a share of a large machine; more threads than that only queue.
int container_quota(int limit) {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return limit;
  const double cpus = std::ceil(std::atof(quota.c_str()) / period);
  return cpus >= 1 && cpus < limit ? static_cast<int>(cpus) : limit;
}

int topology_value(int cpu, const char* name) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + name);
  int value = -1;
  return file >> value ? value : -1;
}

CpuCounts count_cpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CpuCounts counts;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) {
    counts.usable = counts.physical = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    return counts;
  }
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const int core = topology_value(cpu, "core_id");
    // Without topology files every processor counts as a core.
    cores.insert(core < 0 ? std::pair{-1, cpu} : std::pair{topology_value(cpu, "physical_package_id"), core});
  }
  counts.usable = container_quota(std::max(1, CPU_COUNT(&mask)));
  counts.physical = std::clamp(static_cast<int>(cores.size()), 1, counts.usable);
  return counts;
}
#elif defined(__APPLE__)
int sysctl_int(const char* name, int fallback) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value > 0 ? value : fallback;
}

CpuCounts count_cpus() {
  CpuCounts counts;
  counts.usable = sysctl_int("hw.logicalcpu", 1);
  // Efficiency cores slow every parallel step down to their pace.
  counts.physical = sysctl_int("hw.perflevel0.physicalcpu", sysctl_int("hw.physicalcpu", 1));
  return counts;
}
#elif defined(_WIN32)
// Processors this process may run on; 0 where it spans groups of 64 and Windows does not say.
KAFFINITY usable_mask() {
  DWORD_PTR process = 0, system = 0;
  return GetProcessAffinityMask(GetCurrentProcess(), &process, &system) ? process : 0;
}

CpuCounts count_cpus() {
  const KAFFINITY mask = usable_mask();
  CpuCounts counts;
  counts.usable = mask != 0 ? std::popcount(mask) : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  DWORD bytes = 0;
  GetLogicalProcessorInformationEx(RelationProcessorCore, nullptr, &bytes);
  std::vector<char> buffer(bytes);
  const auto record = [&buffer](DWORD at) { return reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX*>(buffer.data() + at); };
  if (bytes == 0 || !GetLogicalProcessorInformationEx(RelationProcessorCore, record(0), &bytes)) {
    counts.physical = counts.usable;
    return counts;
  }
  // Efficiency cores slow every parallel step down to their pace: the best class counts alone.
  int cores = 0, best_class = 0;
  for (DWORD at = 0; at < bytes; at += record(at)->Size) {
    const PROCESSOR_RELATIONSHIP& core = record(at)->Processor;
    if (mask != 0 && (core.GroupMask[0].Mask & mask) == 0) continue;
    // Its EfficiencyClass, the byte behind Flags, is one of the reserved ones in older headers.
    const int efficiency_class = *(&core.Flags + 1);
    if (efficiency_class > best_class) cores = 0;
    best_class = std::max(best_class, efficiency_class);
    if (efficiency_class == best_class) ++cores;
  }
  counts.physical = std::clamp(cores, 1, counts.usable);
  return counts;
}
#else
CpuCounts count_cpus() {
  const int n = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return {n, n};
}
#endif

const CpuCounts& counts() {
  static const CpuCounts value = count_cpus();
  return value;
}

}  // namespace

int usable_cpu_count() { return counts().usable; }
int physical_core_count() { return counts().physical; }

}  // namespace moebius
