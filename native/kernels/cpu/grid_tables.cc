#include "kernels/cpu/grid_tables.h"

#include "quant/codebooks.h"

namespace moebius::cpu {

namespace {

template <int n_entries, int n_values, int n_levels>
void pack(const int8_t (&grid)[n_entries][n_values], const int8_t (&levels)[n_levels], uint16_t (&packed)[n_entries]) {
  constexpr int kBits = n_values == 8 ? 2 : 3;
  for (int entry = 0; entry < n_entries; ++entry) {
    int word = 0;
    for (int e = 0; e < n_values; ++e)
      for (int level = 0; level < n_levels; ++level)
        if (grid[entry][e] == levels[level]) word |= level << (kBits * (e / 2) + 8 * (e % 2));
    packed[entry] = static_cast<uint16_t>(word);
  }
}

}  // namespace

const GridTables& grid_tables() {
  static const GridTables tables = [] {
    constexpr int8_t kIq1Levels[] = {-1, 0, 1}, kIq2Levels[] = {8, 25, 43};
    constexpr int8_t kIq3xxsLevels[] = {4, 12, 20, 28, 36, 44, 52, 62}, kIq3sLevels[] = {1, 3, 5, 7, 9, 11, 13, 15};
    const Codebooks& books = codebooks();
    GridTables built;
    pack(books.iq2xxs, kIq2Levels, built.iq2xxs);
    pack(books.iq2xs, kIq2Levels, built.iq2xs);
    pack(books.iq2s, kIq2Levels, built.iq2s);
    pack(books.iq1s, kIq1Levels, built.iq1s);
    pack(books.iq3xxs, kIq3xxsLevels, built.iq3xxs);
    pack(books.iq3s, kIq3sLevels, built.iq3s);
    return built;
  }();
  return tables;
}

}  // namespace moebius::cpu
