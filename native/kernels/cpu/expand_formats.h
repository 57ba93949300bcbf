// All formats, expanded to vectors of the level. Include a simd*.h first.
#pragma once

#include "kernels/cpu/expand_iq.h"
#include "kernels/cpu/expand_k.h"
#include "kernels/cpu/expand_small.h"
#include "kernels/cpu/grid_tables.h"
#ifdef __AVX512BW__
#include "kernels/cpu/expand_grid512.h"
#endif

namespace moebius::cpu {
namespace {

// The tables of the IQ formats, found once per call.
struct Grids {
  const Codebooks* books;
  const GridTables* tables;
};

inline Grids find_grids() { return {&codebooks(), &grid_tables()}; }

// The codes of 256 weights as the dots want them (signed ones prepared), scales and mins in
// `out`.
template <typename Format>
inline void expand_codes(const uint8_t* p, const Grids& grids, Simd::I* codes, Expanded& out) {
  Format::expand(p, *grids.books, out);
  if constexpr (Format::kSigned)
    for (__m256i& group : out.codes) group = Simd::prepare_signed(group);
  for (int i = 0; i < Simd::kVectorsPerBlock; ++i) codes[i] = Simd::code_vector(out.codes, i);
}

}  // namespace
}  // namespace moebius::cpu
