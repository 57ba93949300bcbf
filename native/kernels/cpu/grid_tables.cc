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
        if (grid[entry][e] == levels[level]) word |= level << (kBits * e);
    packed[entry] = static_cast<uint16_t>(word);
  }
}

// All pairs of two indices of `bits` bits; the upper index bits of a lookup do not matter.
template <int n_pairs, int n_levels>
void list_pairs(const int8_t (&levels)[n_levels], int bits, int offset, uint8_t (&pairs)[n_pairs][2]) {
  for (int i = 0; i < n_pairs; ++i)
    for (int e = 0; e < 2; ++e) {
      const int level = (i >> (bits * e)) & ((1 << bits) - 1);
      pairs[i][e] = static_cast<uint8_t>(level < n_levels ? offset + levels[level] : 0);
    }
}

template <int n_entries>
void move(const int8_t (&grid)[n_entries][8], int factor, int offset, uint8_t (&codes)[n_entries][8]) {
  for (int entry = 0; entry < n_entries; ++entry)
    for (int e = 0; e < 8; ++e) codes[entry][e] = static_cast<uint8_t>(factor * grid[entry][e] + offset);
}

}  // namespace

const GridTables& grid_tables() {
  static const GridTables tables = [] {
    constexpr int8_t kIq2Levels[] = {8, 25, 43};
    constexpr int8_t kIq3xxsLevels[] = {4, 12, 20, 28, 36, 44, 52, 62}, kIq3sLevels[] = {1, 3, 5, 7, 9, 11, 13, 15};
    const Codebooks& books = codebooks();
    GridTables built;
    pack(books.iq2xxs, kIq2Levels, built.iq2xxs);
    pack(books.iq2xs, kIq2Levels, built.iq2xs);
    pack(books.iq3xxs, kIq3xxsLevels, built.iq3xxs);
    pack(books.iq3s, kIq3sLevels, built.iq3s);
    list_pairs(kIq2Levels, 2, 64, built.iq2_pairs);
    list_pairs(kIq3xxsLevels, 3, 64, built.iq3xxs_pairs);
    list_pairs(kIq3sLevels, 3, 16, built.iq3s_pairs);
    for (uint32_t code = 0; code < 64; ++code) built.sign_bytes[code] = static_cast<uint16_t>(iq_sign_byte(code) * 0x0101);
    move(books.iq2s, 1, 64, built.iq2s);
    move(books.iq1s, 8, 17, built.iq1s);
    return built;
  }();
  return tables;
}

}  // namespace moebius::cpu
