// Weights are read once and in order by the row dots: each asks for what it will need a few
// KiB later. Lines that come this way leave the first cache without displacing others
// ("non-temporal"), so that the activations stay and nothing is written back.
#pragma once

#include <cstdint>

namespace moebius::cpu {

constexpr int64_t kFetchAhead = 4096;

// Asks for n_bytes that lie `ahead` behind p: usually the next rows of the run, past the end of
// the matrix at worst (a prefetch does not fault).
inline __attribute__((always_inline)) void fetch_ahead(const uint8_t* p, int n_bytes, int64_t ahead = kFetchAhead) {
  for (int line = 0; line < n_bytes; line += 64) __builtin_prefetch(p + ahead + line, /*write=*/0, /*locality=*/0);
}

}  // namespace moebius::cpu
