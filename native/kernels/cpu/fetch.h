// Weights are read once and in order by the row dots: each asks for what it will need a few
// KiB later. Lines that come this way leave the first cache without displacing others
// ("non-temporal"), so that the activations stay and nothing is written back.
#pragma once

#include <cstdint>

namespace moebius::cpu {

// Asks for n_bytes that lie 4 KiB behind p: usually the next rows of the run, past the end of
// the matrix at worst (a prefetch does not fault).
inline __attribute__((always_inline)) void fetch_ahead(const uint8_t* p, int n_bytes) {
  for (int line = 0; line < n_bytes; line += 64) __builtin_prefetch(p + 4096 + line, /*write=*/0, /*locality=*/0);
}

}  // namespace moebius::cpu
