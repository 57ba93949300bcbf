#include "kernels/backend.h"
#include "kernels/cache_format.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/step.h"

namespace moebius::cpu {

namespace {

// The pair (a, b) turned by the angle; in f64 the result is rounded once.
template <typename T>
void turn(float& a, float& b, T cos, T sin) {
  const T x = a, y = b;
  a = static_cast<float>(x * cos - y * sin);
  b = static_cast<float>(x * sin + y * cos);
}

// Rows handled by one job: elementwise work is worth splitting only in prefill.
constexpr int64_t kRowsPerJob = 16;
}  // namespace

void rms_norm(const LevelOps& ops, KernelContext& context, const float* x, int64_t n_rows, int64_t n,
              int64_t x_stride, const float* weight, float eps, float* y, int64_t y_stride) {
  for_chunks(context, n_rows, kRowsPerJob, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) ops.rms_norm_row(x + r * x_stride, n, weight, eps, y + r * y_stride);
  });
}

void rope(const LevelOps&, KernelContext& context, float* x, int64_t n_tokens, int64_t n_heads,
          int64_t token_stride, int64_t head_stride, int64_t n_rot, const float* cos, const float* sin,
          RopePairing pairing) {
  const int64_t half = n_rot / 2;
  const bool adjacent = pairing == RopePairing::kAdjacent;
  for_chunks(context, n_tokens, kRowsPerJob, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const float *c = cos + t * half, *s = sin + t * half;
      for (int64_t h = 0; h < n_heads; ++h) {
        float* head = x + t * token_stride + h * head_stride;
        float* second = adjacent ? head + 1 : head + half;
        const int64_t step = adjacent ? 2 : 1;
        if (context.exact) {
          for (int64_t i = 0; i < half; ++i) turn<double>(head[i * step], second[i * step], c[i], s[i]);
        } else {
          for (int64_t i = 0; i < half; ++i) turn<float>(head[i * step], second[i * step], c[i], s[i]);
        }
      }
    }
  });
}

void add(const LevelOps& ops, KernelContext& context, float* y, const float* x, int64_t n) {
  for_chunks(context, n, 64 * 1024, [&](int64_t begin, int64_t end, int) { ops.add(y + begin, x + begin, end - begin); });
}

void store_cache_rows(const LevelOps&, KernelContext& context, const float* src, int64_t n_rows, int64_t n,
                      int64_t src_stride, CacheFormat format, void* dst, size_t dst_row_bytes) {
  for_chunks(context, n_rows, kRowsPerJob, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      store_cache_row(format, src + r * src_stride, n, static_cast<uint8_t*>(dst) + static_cast<size_t>(r) * dst_row_bytes);
  });
}

void load_cache_rows(const LevelOps&, KernelContext& context, const void* src, size_t src_row_bytes,
                     int64_t n_rows, int64_t n, CacheFormat format, float* dst, int64_t dst_stride) {
  for_chunks(context, n_rows, kRowsPerJob, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      load_cache_row(format, static_cast<const uint8_t*>(src) + static_cast<size_t>(r) * src_row_bytes, n, dst + r * dst_stride);
  });
}

int64_t select_experts(const LevelOps&, KernelContext& context, const RouterRule& rule, const float* logits,
                       int64_t n_tokens, int32_t* expert_ids, float* routing_weights, float* selection_scores) {
  // Exactness is the point here, so all levels share the plain selection.
  return reference_backend().kernels().select_experts(context, rule, logits, n_tokens, expert_ids, routing_weights,
                                                      selection_scores);
}

}  // namespace moebius::cpu
