// Weights are read once and in order by the row dots: each asks for what it will need a few
// KiB later. Lines that come this way leave the first cache without displacing others
// ("non-temporal"), so that the activations stay and nothing is written back.
#pragma once

#include <cstdint>

namespace moebius::cpu {

constexpr int64_t kFetchAhead = 4096;

// Asks for n_bytes that lie `ahead` behind p (a prefetch does not fault, wherever that is).
inline __attribute__((always_inline)) void fetch_ahead(const uint8_t* p, int n_bytes, int64_t ahead = kFetchAhead) {
  for (int line = 0; line < n_bytes; line += 64) __builtin_prefetch(p + ahead + line, /*write=*/0, /*locality=*/0);
}

// How far ahead of each row of a run to fetch. Behind its end reading goes on where the worker
// goes on: the rows behind an expert's are rarely the next.
struct ReadAhead {
  const uint8_t* end;
  const uint8_t* next;

  template <typename Rows>
  static ReadAhead of(const Rows& rows) { return {rows.end(), rows.next != nullptr ? rows.next : rows.end()}; }

  int64_t distance(const uint8_t* row, int64_t ahead = kFetchAhead) const {
    const int64_t beyond = ahead - (end - row);
    return beyond < 0 ? ahead : next + beyond - row;
  }
};

}  // namespace moebius::cpu
