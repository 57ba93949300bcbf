#include "kernels/cache_format.h"

#include <cmath>
#include <cstring>

#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr size_t kRowAlignment = 64;

size_t packed_bytes(CacheFormat format, int64_t n) {
  const auto count = static_cast<size_t>(n);
  switch (format) {
    case CacheFormat::kF32: return count * 4;
    case CacheFormat::kF16:
    case CacheFormat::kBF16: return count * 2;
    case CacheFormat::kQ8_0:
      return (count + kCacheBlockElements - 1) / kCacheBlockElements * kCacheBlockBytes;
  }
  return count * 4;
}

void store_q8_0(const float* src, int64_t n, uint8_t* dst) {
  for (int64_t begin = 0; begin < n; begin += kCacheBlockElements, dst += kCacheBlockBytes) {
    const int64_t count = n - begin < kCacheBlockElements ? n - begin : kCacheBlockElements;
    float amax = 0;
    for (int64_t i = 0; i < count; ++i) amax = std::fmax(amax, std::fabs(src[begin + i]));
    const float scale = amax / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    const uint16_t bits = f32_to_f16(scale);
    std::memcpy(dst, &bits, sizeof bits);
    int8_t codes[kCacheBlockElements] = {};
    for (int64_t i = 0; i < count; ++i)
      codes[i] = static_cast<int8_t>(std::lround(std::fmax(-127.0f, std::fmin(127.0f, src[begin + i] * inverse))));
    std::memcpy(dst + sizeof bits, codes, sizeof codes);
  }
}

void load_q8_0(const uint8_t* src, int64_t n, float* dst) {
  for (int64_t begin = 0; begin < n; begin += kCacheBlockElements, src += kCacheBlockBytes) {
    const int64_t count = n - begin < kCacheBlockElements ? n - begin : kCacheBlockElements;
    uint16_t bits;
    std::memcpy(&bits, src, sizeof bits);
    const float scale = f16_to_f32(bits);
    const auto* codes = reinterpret_cast<const int8_t*>(src + sizeof bits);
    for (int64_t i = 0; i < count; ++i) dst[begin + i] = scale * static_cast<float>(codes[i]);
  }
}

}  // namespace

size_t cache_row_bytes(CacheFormat format, int64_t n) {
  return (packed_bytes(format, n) + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
}

void store_cache_row(CacheFormat format, const float* src, int64_t n, void* dst) {
  if (format == CacheFormat::kF32) {
    std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
  } else if (format == CacheFormat::kQ8_0) {
    store_q8_0(src, n, static_cast<uint8_t*>(dst));
  } else {
    auto* out = static_cast<uint16_t*>(dst);
    const bool half = format == CacheFormat::kF16;
    for (int64_t i = 0; i < n; ++i) out[i] = half ? f32_to_f16(src[i]) : f32_to_bf16(src[i]);
  }
}

void load_cache_row(CacheFormat format, const void* src, int64_t n, float* dst) {
  if (format == CacheFormat::kF32) {
    std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
  } else if (format == CacheFormat::kQ8_0) {
    load_q8_0(static_cast<const uint8_t*>(src), n, dst);
  } else {
    const auto* in = static_cast<const uint16_t*>(src);
    const bool half = format == CacheFormat::kF16;
    for (int64_t i = 0; i < n; ++i) dst[i] = half ? f16_to_f32(in[i]) : bf16_to_f32(in[i]);
  }
}

}  // namespace moebius
