#include <cstdlib>
#include <map>
#include <memory>

#include "base/cpu_features.h"
#include "base/error.h"
#include "kernels/backend.h"
#include "kernels/cpu/cpu_table.h"

namespace moebius {

namespace {

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(cpu::Level level)
      : level_(level), device_name_(cpu_brand()), table_(cpu::kernel_table(level)) {}
  const char* id() const override { return "cpu"; }
  bool available() const override { return true; }
  std::string unavailable_reason() const override { return ""; }
  std::string device_name() const override { return device_name_; }
  std::string level() const override { return cpu::level_name(level_); }
  std::string missing_level_reason() const override { return cpu::missing_level_reason(); }
  bool has_bf16_attention() const override { return cpu::has_bf16_attention(level_); }
  const KernelTable& kernels() const override { return table_; }

 private:
  cpu::Level level_;
  std::string device_name_;
  KernelTable table_;
};

}  // namespace

std::vector<std::string> cpu_levels() {
  std::vector<std::string> names;
  for (cpu::Level level : cpu::supported_levels()) names.emplace_back(cpu::level_name(level));
  return names;
}

std::vector<std::string> modelled_cpu_levels() {
  std::vector<std::string> names;
  for (cpu::Level level : cpu::modelled_levels()) names.emplace_back(cpu::level_name(level));
  return names;
}

Backend& cpu_backend_at(const std::string& level) {
  static const auto* const all = [] {
    auto* made = new std::map<std::string, std::unique_ptr<CpuBackend>>();
    for (const auto* levels : {&cpu::supported_levels(), &cpu::modelled_levels()})
      for (cpu::Level each : *levels) made->emplace(cpu::level_name(each), std::make_unique<CpuBackend>(each));
    return made;
  }();
  const auto found = all->find(level);
  if (found != all->end()) return *found->second;
  std::string known;
  for (const std::string& name : cpu_levels()) known += (known.empty() ? "" : ", ") + name;
  throw Error(ErrorCode::kUnsupported,
              "this processor cannot run the instruction set level '" + level + "' (it has: " + known + ")",
              cpu::missing_level_reason().empty() ? "unset MOEBIUS_ISA or name one of the listed levels" : cpu::missing_level_reason());
}

Backend& cpu_backend() {
  static Backend& chosen = []() -> Backend& {
    const char* forced = std::getenv("MOEBIUS_ISA");
    return cpu_backend_at(forced != nullptr && *forced != '\0' ? forced : cpu_levels().back());
  }();
  return chosen;
}

}  // namespace moebius
