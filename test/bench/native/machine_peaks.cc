#include "machine_peaks.h"

#include <immintrin.h>

#include <chrono>
#include <ctime>
#include <vector>

#include "base/cpu_features.h"
#include "base/page_buffer.h"
#include "base/thread_pool.h"

namespace moebius::bench {

namespace {
double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
}  // namespace

Stopwatch::Stopwatch(int n_threads) : cpu_time_(n_threads == 1), start_(cpu_time_ ? cpu_seconds() : wall_seconds()) {}
double Stopwatch::seconds() const { return std::max(1e-9, (cpu_time_ ? cpu_seconds() : wall_seconds()) - start_); }

namespace {

volatile int64_t sink;

int64_t read_words(const uint64_t* words, size_t n) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= n; i += 8)
    for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  return static_cast<int64_t>(sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7]);
}

constexpr int kRounds = 2'000'000;

__attribute__((target("avx512f,avx512bw,avx512vnni"))) int64_t int8_rounds_512() {
  __m512i acc[16];
  for (__m512i& a : acc) a = _mm512_set1_epi32(1);
  __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5);
  for (int i = 0; i < kRounds; ++i) {
    __asm__ volatile("" : "+v"(x), "+v"(y));
#pragma GCC unroll 16
    for (__m512i& a : acc) a = _mm512_dpbusd_epi32(a, x, y);
  }
  __m512i sum = acc[0];
  for (int i = 1; i < 16; ++i) sum = _mm512_add_epi32(sum, acc[i]);
  return _mm_cvtsi128_si32(_mm512_castsi512_si128(sum));
}

__attribute__((target("avx512f"))) int64_t f32_rounds_512() {
  __m512 acc[16];
  for (__m512& a : acc) a = _mm512_set1_ps(1);
  __m512 x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.25f);
  for (int i = 0; i < kRounds; ++i) {
    __asm__ volatile("" : "+v"(x), "+v"(y));
#pragma GCC unroll 16
    for (__m512& a : acc) a = _mm512_fmadd_ps(a, x, y);
  }
  __m512 sum = acc[0];
  for (int i = 1; i < 16; ++i) sum = _mm512_add_ps(sum, acc[i]);
  return static_cast<int64_t>(_mm_cvtss_f32(_mm512_castps512_ps128(sum)));
}

double rate(int n_threads, double operations, int64_t (*rounds)()) {
  ThreadPool pool(n_threads);
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Stopwatch watch(n_threads);
    pool.run([rounds](int) { sink = rounds(); });
    best = std::max(best, operations * n_threads / watch.seconds());
  }
  return best;
}

}  // namespace

double measure_read_bandwidth(int n_threads) {
  constexpr size_t kBytes = size_t{1} << 30;
  PageBuffer buffer(kBytes);
  ThreadPool pool(n_threads);
  auto* words = buffer.as<uint64_t>();
  constexpr int64_t kWords = static_cast<int64_t>(kBytes / 8), kGrain = 1 << 16;
  pool.parallel_for(kWords, kGrain, [words](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) words[i] = static_cast<uint64_t>(i);
  });
  double best = 0;
  for (int repeat = 0; repeat < 4; ++repeat) {
    const Stopwatch watch(n_threads);
    pool.parallel_for(kWords, kGrain, [words](int64_t begin, int64_t end, int) { sink = read_words(words + begin, static_cast<size_t>(end - begin)); });
    best = std::max(best, static_cast<double>(kBytes) / watch.seconds());
  }
  return best;
}

double measure_int8_peak(int n_threads) {
  if (!cpu_features().avx512_vnni) return 0;
  return rate(n_threads, 2.0 * 64 * 16 * kRounds, int8_rounds_512);
}

double measure_f32_peak(int n_threads) {
  if (!cpu_features().avx512f) return 0;
  return rate(n_threads, 2.0 * 16 * 16 * kRounds, f32_rounds_512);
}

}  // namespace moebius::bench
