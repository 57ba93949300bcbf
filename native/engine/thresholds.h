// Thresholds as those outside see them: by the names of formats, checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/thresholds.h"

namespace moebius {

struct TileThreshold {
  std::string format;  // "Q4_K"
  int min_columns = 0;
};

// In id order.
std::vector<QuantFormat> weight_formats();
// Of every weight format.
std::vector<TileThreshold> tile_thresholds(const KernelThresholds& thresholds);

// Throws Error(kBadRequest) for a format that is not there and for columns out of range.
void set_tile_threshold(KernelThresholds& thresholds, const std::string& format, int64_t min_columns);

// Throws Error(kBadRequest) when a value is out of the range that kernels/thresholds.h names.
void check_thresholds(const KernelThresholds& thresholds);

}  // namespace moebius
