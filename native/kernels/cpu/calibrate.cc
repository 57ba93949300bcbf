#include "kernels/cpu/calibrate.h"

#include <cstring>

#include "base/cpu_features.h"

namespace moebius {

namespace {

constexpr int kLanes = 64;

// Plain loops for levels without loops of their own: what the compiler makes of them.
float portable_int8(int64_t n_rounds) {
  int8_t x[kLanes], y[kLanes];
  uint32_t sums[kLanes] = {};
  std::memset(x, 3, sizeof(x));
  std::memset(y, 5, sizeof(y));
  for (int64_t round = 0; round < n_rounds; ++round) {
    x[round % kLanes] = static_cast<int8_t>(round & 7);
    for (int i = 0; i < kLanes; ++i) sums[i] += static_cast<uint32_t>(x[i] * y[i]);
  }
  float total = 0;
  for (uint32_t sum : sums) total += static_cast<float>(sum & 0xff);
  return total;
}

float portable_f32(int64_t n_rounds) {
  float sums[kLanes] = {};
  float x = 0.5f;
  for (int64_t round = 0; round < n_rounds; ++round) {
    for (float& sum : sums) sum = sum * x + 1.0f;
    x = 1.0f - x;
  }
  float total = 0;
  for (float sum : sums) total += sum;
  return total;
}

uint64_t portable_read(const void* data, size_t n_bytes) {
  const auto* words = static_cast<const uint64_t*>(data);
  uint64_t sums[4] = {};
  for (size_t i = 0; i < n_bytes / sizeof(uint64_t); i += 4)
    for (size_t j = 0; j < 4; ++j) sums[j] ^= words[i + j];
  return sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
}

}  // namespace

PeakLoops cpu_peak_loops(const std::string& level) {
#ifdef MOEBIUS_X86_LEVELS
  if (level == "avx2") return cpu::avx2_peak_loops();
  if (level == "avx_vnni") return cpu::avx_vnni_peak_loops();
  if (level == "avx512" || level == "avx512_bf16" || level == "amx") {
    PeakLoops loops = cpu::avx512_peak_loops();
    if (level != "avx512") loops.bf16_dot = cpu::avx512_bf16_dot_loop();
    if (level == "amx") loops.int8_dot = cpu::amx_int8_loop();
    return loops;
  }
#endif
#ifdef MOEBIUS_ARM_LEVELS
  if (level == "neon_base") return cpu::neon_base_peak_loops();
  if (level == "neon") return cpu::neon_peak_loops();
  if (level == "neon_i8mm") {
    PeakLoops loops = cpu::neon_i8mm_peak_loops();
    if (cpu_features().neon_bf16) loops.bf16_dot = cpu::neon_bf16_product_loop();
    return loops;
  }
#endif
  (void)level;
  PeakLoops loops;
  loops.int8_dot = {portable_int8, 2.0 * kLanes};
  loops.f32_fma = {portable_f32, 2.0 * kLanes};
  loops.read = portable_read;
  return loops;
}

}  // namespace moebius
