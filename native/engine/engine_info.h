// What this build of the engine is and what it finds on this machine, before any model.
#pragma once

#include <string>
#include <vector>

namespace moebius {

struct BackendDescription {
  std::string id;      // "cpu", "cuda", "metal"
  bool available = false;
  std::string reason;  // why not; when available: why not at a better level, "" as a rule
  std::string device;
  std::string level;   // ISA level or compute capability in use
  bool has_bf16_attention = false;  // LoadOptions::bf16_attention is possible
};

struct EngineInfo {
  std::string version;
  std::vector<BackendDescription> backends;
  std::vector<std::string> cpu_levels;  // this machine can run, worst first
  std::string cpu_level;                // in use
  std::string cpu_brand;
  int n_physical_cores = 1;             // the default number of threads
  int n_usable_cpus = 1;
  std::vector<std::string> architectures;
};

// Throws Error(kUnsupported) when MOEBIUS_ISA names a level this machine lacks.
EngineInfo engine_info();

}  // namespace moebius
