// From the slices that are wanted to the reads that fetch them: whole pages, neighbours in the
// file merged into one read whatever slots they go to, long reads cut so that several threads
// share them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/direct_file.h"

namespace moebius {

struct SliceRead {
  int part = 0;
  uint64_t offset = 0;  // of the slice in the part, any
  uint64_t n_bytes = 0;
  uint8_t* to = nullptr;  // where the page of `offset` goes
  int64_t slot = 0;
};

// One read, and the pages that belong to two slices and are copied after it.
struct PlannedRead {
  struct Copy {
    const uint8_t* from = nullptr;
    uint8_t* to = nullptr;  // kDirectPage bytes
  };
  int part = 0;
  uint64_t offset = 0;  // page
  uint64_t needed = 0;  // bytes up to the end of the last slice in it
  uint64_t first_byte = 0;  // of the first slice in it, in the part
  std::vector<ReadSegment> segments;
  std::vector<Copy> copies;
  std::vector<int64_t> slots;  // those with bytes in this read, once for each run of them

  uint64_t n_bytes() const;
};

// most_bytes: of one read, a multiple of kDirectPage. Slices do not overlap.
std::vector<PlannedRead> plan_reads(std::span<const SliceRead> slices, uint64_t most_bytes);

}  // namespace moebius
