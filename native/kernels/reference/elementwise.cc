#include <cmath>

#include "kernels/cache_format.h"
#include "kernels/reference/reference.h"

namespace moebius::reference {

void rms_norm(KernelContext&, const float* x, int64_t n_rows, int64_t n, int64_t x_stride,
              const float* weight, float eps, float* y, int64_t y_stride) {
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* in = x + r * x_stride;
    float* out = y + r * y_stride;
    const double scale = 1 / std::sqrt(dot(in, in, n) / static_cast<double>(n) + eps);
    for (int64_t i = 0; i < n; ++i)
      out[i] = static_cast<float>(in[i] * scale * (weight != nullptr ? weight[i] : 1.0f));
  }
}

void rope(KernelContext&, float* x, int64_t n_tokens, int64_t n_heads, int64_t token_stride,
          int64_t head_stride, int64_t n_rot, const float* cos, const float* sin,
          RopePairing pairing) {
  const int64_t half = n_rot / 2;
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t h = 0; h < n_heads; ++h) {
      float* head = x + t * token_stride + h * head_stride;
      for (int64_t i = 0; i < half; ++i) {
        const int64_t a = pairing == RopePairing::kAdjacent ? 2 * i : i;
        const int64_t b = pairing == RopePairing::kAdjacent ? 2 * i + 1 : i + half;
        const double c = cos[t * half + i], s = sin[t * half + i], xa = head[a], xb = head[b];
        head[a] = static_cast<float>(xa * c - xb * s);
        head[b] = static_cast<float>(xa * s + xb * c);
      }
    }
  }
}

void add(KernelContext&, float* y, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void store_cache_rows(KernelContext&, const float* src, int64_t n_rows, int64_t n,
                      int64_t src_stride, CacheFormat format, void* dst, size_t dst_row_bytes) {
  for (int64_t r = 0; r < n_rows; ++r)
    store_cache_row(format, src + r * src_stride, n,
                    static_cast<uint8_t*>(dst) + static_cast<size_t>(r) * dst_row_bytes);
}

void load_cache_rows(KernelContext&, const void* src, size_t src_row_bytes, int64_t n_rows,
                     int64_t n, CacheFormat format, float* dst, int64_t dst_stride) {
  for (int64_t r = 0; r < n_rows; ++r)
    load_cache_row(format, static_cast<const uint8_t*>(src) + static_cast<size_t>(r) * src_row_bytes,
                   n, dst + r * dst_stride);
}

}  // namespace moebius::reference
