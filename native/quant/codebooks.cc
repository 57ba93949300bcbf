#include "quant/codebooks.h"

#include "quant/codebook_data.h"

namespace moebius {

namespace {

template <int n_entries, int n_values>
void expand(const uint16_t (&packed)[n_entries], const int8_t* levels, int8_t (&grid)[n_entries][n_values]) {
  constexpr int kBits = n_values == 8 ? 2 : 3;
  for (int entry = 0; entry < n_entries; ++entry)
    for (int j = 0; j < n_values; ++j)
      grid[entry][j] = levels[(packed[entry] >> (kBits * j)) & ((1 << kBits) - 1)];
}

}  // namespace

const Codebooks& codebooks() {
  static const Codebooks tables = [] {
    constexpr int8_t kIq1Levels[4] = {-1, 0, 1, 0};  // The last code does not occur.
    constexpr int8_t kIq2Levels[4] = {8, 25, 43, 0};
    constexpr int8_t kIq3xxsLevels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    constexpr int8_t kIq3sLevels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    Codebooks built;
    expand(kIq2xxsPacked, kIq2Levels, built.iq2xxs);
    expand(kIq2xsPacked, kIq2Levels, built.iq2xs);
    expand(kIq2sPacked, kIq2Levels, built.iq2s);
    expand(kIq1sPacked, kIq1Levels, built.iq1s);
    expand(kIq3xxsPacked, kIq3xxsLevels, built.iq3xxs);
    expand(kIq3sPacked, kIq3sLevels, built.iq3s);
    return built;
  }();
  return tables;
}

}  // namespace moebius
