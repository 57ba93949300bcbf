// The calibration loops in the vocabulary of the simd header that the including file has.
// Enough independent sums hide the latency of one step; the compiler must not see that
// operands and sums are equal, or it computes them once.
#include <utility>

#include "kernels/cpu/calibrate.h"
#include "kernels/cpu/fetch.h"

namespace moebius::cpu {
namespace {

// Sums that fit beside the operands and what a step needs of its own.
constexpr int kSums = Simd::kRegisters == 32 ? 16 : 10;

#if defined(__aarch64__)
#define MOEBIUS_VECTOR_REGISTER "w"
#else
#define MOEBIUS_VECTOR_REGISTER "v"
#endif

template <typename Vector>
inline __attribute__((always_inline)) void hide(Vector& value) {
  __asm__ volatile("" : "+" MOEBIUS_VECTOR_REGISTER(value));
}

template <typename Vector, typename Step, int... i>
Vector run_rounds(int64_t n_rounds, Vector first, Vector x, Vector y, Step step, Vector (*add)(Vector, Vector),
                  std::integer_sequence<int, i...>) {
  Vector sums[sizeof...(i)] = {((void)i, first)...};
  (hide(sums[i]), ...);
  for (int64_t round = 0; round < n_rounds; ++round) {
    ((hide(x), sums[i] = step(sums[i], x, y)), ...);
  }
  Vector total = sums[0];
  for (size_t at = 1; at < sizeof...(i); ++at) total = add(total, sums[at]);
  return total;
}

using Sums = std::make_integer_sequence<int, kSums>;

float f32_rounds(int64_t n_rounds) {
  const auto step = [](Simd::F sum, Simd::F x, Simd::F y) { return Simd::fma(x, y, sum); };
  return Simd::sum(run_rounds<Simd::F>(n_rounds, Simd::set1(1), Simd::set1(0.5f), Simd::set1(0.25f), step, Simd::add, Sums()));
}

uint64_t read_bytes(const void* data, size_t n_bytes) {
  constexpr size_t kBytes = sizeof(Simd::F), kStreams = 4;
  const auto* bytes = static_cast<const char*>(data);
  Simd::F held[kStreams];
  for (size_t at = 0; at < n_bytes; at += kStreams * kBytes) {
    fetch_ahead(reinterpret_cast<const uint8_t*>(bytes + at), kStreams * kBytes);
    for (size_t j = 0; j < kStreams; ++j) {
      held[j] = Simd::load(reinterpret_cast<const float*>(bytes + at + j * kBytes));
      __asm__ volatile("" : : MOEBIUS_VECTOR_REGISTER(held[j]));
    }
  }
  return n_bytes;
}

[[maybe_unused]] PeakLoops simd_peak_loops(float (*int8_rounds)(int64_t)) {
  PeakLoops loops;
  loops.int8_dot = {int8_rounds, 2.0 * sizeof(Simd::I) * kSums};
  loops.f32_fma = {f32_rounds, 2.0 * Simd::kLanes * kSums};
  loops.read = read_bytes;
  return loops;
}

}  // namespace
}  // namespace moebius::cpu
