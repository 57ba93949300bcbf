// Reading the weights in while a model loads, so that the first tokens do not wait for the
// disk. Several threads ask at once: a disk is fastest with many requests in its queue.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/mapped_file.h"
#include "engine/engine.h"
#include "formats/gguf_model_file.h"

namespace moebius {

// Bytes of one mapping that belong together.
struct TouchRange {
  const MappedFile* file = nullptr;
  uint64_t begin = 0, end = 0;
};

// Where the tensors lie that `is_wanted` names, in the file's order; close neighbours merged.
std::vector<TouchRange> weight_ranges(const GgufModelFile& file,
                                      const std::function<bool(const GgufTensor&)>& is_wanted);

// Blocks until every range is in memory and mapped. progress is called on this thread about
// every 20 ms and once at the end. Throws Error(kCancelled) after progress returned false, once
// what the disk was asked for has come (0.1 s at 150 MB/s); Error(kIo) when a range cannot be
// read.
void touch_weights(const std::vector<TouchRange>& ranges, const LoadProgress& progress);

}  // namespace moebius
