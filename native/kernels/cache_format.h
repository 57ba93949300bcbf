// How one cache row is laid out. kQ8_0 stores blocks of 32 as [f16 scale][32 x i8], a last
// partial block is padded with zeros; the other formats store plain elements.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace moebius {

constexpr int64_t kCacheBlockElements = 32;
constexpr size_t kCacheBlockBytes = 34;

// One row of n elements, any format. Plain loops: rows are short and the oracle uses them too.
void store_cache_row(CacheFormat format, const float* src, int64_t n, void* dst);
void load_cache_row(CacheFormat format, const void* src, int64_t n, float* dst);

}  // namespace moebius
