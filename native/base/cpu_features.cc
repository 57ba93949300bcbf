#include "base/cpu_features.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) || defined(_M_X64)
#define MOEBIUS_X86 1
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(_WIN32)
#include "base/windows_api.h"
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace moebius {

namespace {

#if MOEBIUS_X86
struct CpuidResult {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidResult cpuid(uint32_t leaf, uint32_t subleaf) {
  CpuidResult result;
  __cpuid_count(leaf, subleaf, result.eax, result.ebx, result.ecx, result.edx);
  return result;
}

// XCR0: which register states the operating system saves.
uint64_t saved_states() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

bool bit(uint32_t word, int index) { return (word >> index) & 1u; }

CpuFeatures detect() {
  CpuFeatures features;
  const uint32_t last_leaf = cpuid(0, 0).eax;
  const CpuidResult leaf1 = cpuid(1, 0);
  constexpr int kOsxsave = 27, kAvx = 28;
  if (last_leaf < 7 || !bit(leaf1.ecx, kOsxsave) || !bit(leaf1.ecx, kAvx)) return features;
  const uint64_t states = saved_states();
  const bool ymm = (states & 0x6) == 0x6;
  const bool zmm = ymm && (states & 0xe0) == 0xe0;
  const bool tiles = zmm && (states & 0x60000) == 0x60000;
  const CpuidResult leaf7 = cpuid(7, 0);
  const CpuidResult leaf7_1 = leaf7.eax >= 1 ? cpuid(7, 1) : CpuidResult{};

  features.fma = ymm && bit(leaf1.ecx, 12);
  features.f16c = ymm && bit(leaf1.ecx, 29);
  features.avx2 = ymm && bit(leaf7.ebx, 5);
  features.bmi2 = bit(leaf7.ebx, 8);
  features.avx_vnni = ymm && bit(leaf7_1.eax, 4);
  features.avx512f = zmm && bit(leaf7.ebx, 16);
  features.avx512dq = zmm && bit(leaf7.ebx, 17);
  features.avx512bw = zmm && bit(leaf7.ebx, 30);
  features.avx512vl = zmm && bit(leaf7.ebx, 31);
  features.avx512_vbmi = zmm && bit(leaf7.ecx, 1);
  features.avx512_vnni = zmm && bit(leaf7.ecx, 11);
  features.avx512_bf16 = zmm && bit(leaf7_1.eax, 5);
  features.amx_bf16 = tiles && bit(leaf7.edx, 22) && bit(leaf7.edx, 24);
  features.amx_int8 = tiles && bit(leaf7.edx, 25) && bit(leaf7.edx, 24);
  return features;
}

std::string detect_brand() {
  if (cpuid(0x80000000u, 0).eax < 0x80000004u) return "";
  char text[49] = {};
  for (uint32_t part = 0; part < 3; ++part) {
    const CpuidResult result = cpuid(0x80000002u + part, 0);
    std::memcpy(text + 16 * part, &result, 16);
  }
  return text;
}
#elif defined(__aarch64__) || defined(_M_ARM64)
#if defined(__APPLE__)
bool sysctl_flag(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
#endif

CpuFeatures detect() {
  CpuFeatures features;
  features.neon = true;
#if defined(__APPLE__)
  features.neon_dotprod = sysctl_flag("hw.optional.arm.FEAT_DotProd");
  features.neon_i8mm = sysctl_flag("hw.optional.arm.FEAT_I8MM");
  features.neon_bf16 = sysctl_flag("hw.optional.arm.FEAT_BF16");
#elif defined(__linux__)
  const unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
  features.neon_dotprod = (hwcap >> 20) & 1;  // HWCAP_ASIMDDP
  features.neon_i8mm = (hwcap2 >> 13) & 1;    // HWCAP2_I8MM
  features.neon_bf16 = (hwcap2 >> 14) & 1;    // HWCAP2_BF16
#elif defined(_WIN32)
  // By number: older SDKs lack the names (PF_ARM_V82_DP_, PF_ARM_V82_I8MM_, PF_ARM_V86_BF16_INSTRUCTIONS_AVAILABLE).
  features.neon_dotprod = IsProcessorFeaturePresent(43) != 0;
  features.neon_i8mm = IsProcessorFeaturePresent(66) != 0;
  features.neon_bf16 = IsProcessorFeaturePresent(68) != 0;
#endif
  return features;
}

std::string detect_brand() {
#if defined(__APPLE__)
  char text[128] = {};
  size_t size = sizeof text - 1;
  if (sysctlbyname("machdep.cpu.brand_string", text, &size, nullptr, 0) == 0) return text;
#endif
  return "AArch64 processor";
}
#else
CpuFeatures detect() { return {}; }
std::string detect_brand() { return ""; }
#endif

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return "unknown CPU";
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

const std::string& cpu_brand() {
  static const std::string brand = trimmed(detect_brand());
  return brand;
}

}  // namespace moebius
