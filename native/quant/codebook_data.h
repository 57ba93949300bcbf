// The packed grids behind quant/codebooks.h. Value j of an entry is the index
// (entry >> (bits * j)) & mask into the format's short list of levels: 2 bits and 8 values
// per entry for the IQ1 and IQ2 grids, 3 bits and 4 values for the IQ3 grids.
#pragma once

#include <cstdint>

namespace moebius {

extern const uint16_t kIq2xxsPacked[256];
extern const uint16_t kIq2xsPacked[512];
extern const uint16_t kIq2sPacked[1024];
extern const uint16_t kIq3xxsPacked[256];
extern const uint16_t kIq3sPacked[512];
extern const uint16_t kIq1sPacked[2048];

}  // namespace moebius
