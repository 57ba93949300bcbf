#include "engine/engine_info.h"

#include "base/cpu_features.h"
#include "engine/engine.h"
#include "kernels/backend.h"

namespace moebius {
namespace {

// The version in package.json; a test compares them.
constexpr char kEngineVersion[] = "0.1.0";

}  // namespace

EngineInfo engine_info() {
  EngineInfo info;
  info.version = kEngineVersion;
  for (const Backend* backend : backends()) {
    const bool available = backend->available();
    info.backends.push_back({backend->id(), available, available ? backend->missing_level_reason() : backend->unavailable_reason(), backend->device_name(),
                             available ? backend->level() : "", available && backend->has_bf16_attention()});
  }
  info.cpu_levels = cpu_levels();
  info.cpu_level = cpu_backend().level();
  info.cpu_brand = cpu_brand();
  info.n_physical_cores = physical_core_count();
  info.n_usable_cpus = usable_cpu_count();
  info.architectures = supported_architectures();
  return info;
}

}  // namespace moebius
