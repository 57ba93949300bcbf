#include "addon/memory_info.h"

#include <algorithm>
#include <limits>

#if defined(_WIN32)
#include "base/windows_api.h"

#include <psapi.h>
#elif defined(__APPLE__)
#include <mach/mach.h>
#include <sys/sysctl.h>
#else
#include <exception>
#include <fstream>
#include <string>
#endif

namespace moebius::addon {

#if defined(_WIN32)

MemoryInfo memory_info() {
  MemoryInfo info;
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof(status);
  if (GlobalMemoryStatusEx(&status)) {
    info.total_bytes = status.ullTotalPhys;
    info.available_bytes = std::min<uint64_t>(status.ullAvailPhys, status.ullAvailPageFile);
  }
  PROCESS_MEMORY_COUNTERS counters{};
  if (K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters))) {
    info.process_bytes = counters.WorkingSetSize;
  }
  return info;
}

#elif defined(__APPLE__)

MemoryInfo memory_info() {
  MemoryInfo info;
  size_t size = sizeof(info.total_bytes);
  sysctlbyname("hw.memsize", &info.total_bytes, &size, nullptr, 0);
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages), &count) ==
      KERN_SUCCESS) {
    const uint64_t free_pages = uint64_t{pages.free_count} + pages.inactive_count + pages.purgeable_count;
    info.available_bytes = free_pages * vm_kernel_page_size;
  }
  mach_task_basic_info_data_t task{};
  count = MACH_TASK_BASIC_INFO_COUNT;
  if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&task), &count) ==
      KERN_SUCCESS) {
    info.process_bytes = task.resident_size;
  }
  return info;
}

#else

namespace {

// A file that holds one number, or "max"; false when it does not exist.
bool read_number_file(const std::string& path, uint64_t& value) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return false;
  if (word.find_first_not_of("0123456789") != std::string::npos) return false;
  try {
    value = std::stoull(word);
  } catch (const std::exception&) {
    value = std::numeric_limits<uint64_t>::max();
  }
  return true;
}

// The number after `key` at the start of a line ("MemAvailable:", "inactive_file"); 0 when absent.
uint64_t field_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  uint64_t value = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t digits = line.find_first_of("0123456789", key.size());
    if (digits == std::string::npos) continue;
    try {
      value = std::stoull(line.substr(digits));
    } catch (const std::exception&) {
      value = 0;
    }
    break;
  }
  return value;
}

// Narrows `info` to one control group. Its file pages can be dropped by the kernel, so they
// count as free: mapped weights would otherwise seem to use up the limit.
void apply_limit(MemoryInfo& info, const std::string& limit_file, const std::string& usage_file,
                 const std::string& stat_file, const std::string& stat_prefix) {
  uint64_t limit = 0, usage = 0;
  if (!read_number_file(limit_file, limit) || limit >= info.total_bytes) return;
  info.total_bytes = limit;
  if (!read_number_file(usage_file, usage)) return;
  const uint64_t file_pages =
      field_of(stat_file, stat_prefix + "inactive_file ") + field_of(stat_file, stat_prefix + "active_file ");
  usage -= std::min(usage, file_pages);
  info.available_bytes = std::min(info.available_bytes, limit - std::min(limit, usage));
}

// The path after "<hierarchy>:<controllers>:" in /proc/self/cgroup.
std::string cgroup_path(const std::string& controllers) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    if (line.substr(first + 1, second - first - 1) == controllers) return line.substr(second + 1);
  }
  return "";
}

// Version 2 and version 1, the process's own group and all above it. Inside a container the
// path may name the host's view, so the root is looked at in any case.
void apply_control_groups(MemoryInfo& info) {
  struct Hierarchy {
    std::string root, path, limit, usage, stat_prefix;
  };
  const Hierarchy hierarchies[] = {
      {"/sys/fs/cgroup", cgroup_path(""), "/memory.max", "/memory.current", ""},
      {"/sys/fs/cgroup/memory", cgroup_path("memory"), "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_"},
  };
  for (const Hierarchy& hierarchy : hierarchies) {
    std::string path = hierarchy.path == "/" ? "" : hierarchy.path;
    while (true) {
      const std::string folder = hierarchy.root + path;
      apply_limit(info, folder + hierarchy.limit, folder + hierarchy.usage, folder + "/memory.stat",
                  hierarchy.stat_prefix);
      if (path.empty()) break;
      path.resize(std::min(path.size() - 1, path.rfind('/')));
    }
  }
}

}  // namespace

MemoryInfo memory_info() {
  MemoryInfo info;
  info.total_bytes = field_of("/proc/meminfo", "MemTotal:") * 1024;
  info.available_bytes = field_of("/proc/meminfo", "MemAvailable:") * 1024;
  info.process_bytes = field_of("/proc/self/status", "VmRSS:") * 1024;
  apply_control_groups(info);
  return info;
}

#endif

}  // namespace moebius::addon
