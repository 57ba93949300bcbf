#include "engine/thresholds.h"

#include "base/error.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

void check_columns(const std::string& format, int64_t columns) {
  if (columns < 1 || columns > kMostTileMinColumns)
    throw Error(ErrorCode::kBadRequest, format_text("thresholds: expected 1 to %d columns for %.32s, got %lld", kMostTileMinColumns,
                                                    format.c_str(), static_cast<long long>(columns)));
}

bool is_weight_format(const QuantFormatInfo& info) { return info.dequantize_row != nullptr; }

}  // namespace

std::vector<QuantFormat> weight_formats() {
  std::vector<QuantFormat> result;
  for (const QuantFormatInfo* info = quant_formats_begin(); info != quant_formats_end(); ++info)
    if (is_weight_format(*info)) result.push_back(info->format);
  return result;
}

std::vector<TileThreshold> tile_thresholds(const KernelThresholds& thresholds) {
  std::vector<TileThreshold> result;
  for (const QuantFormat format : weight_formats())
    result.push_back({quant_format_info(format).name, static_cast<int>(thresholds.tile_columns(format))});
  return result;
}

void set_tile_threshold(KernelThresholds& thresholds, const std::string& format, int64_t min_columns) {
  const QuantFormatInfo* info = find_quant_format(format);
  if (info == nullptr || !is_weight_format(*info))
    throw Error(ErrorCode::kBadRequest, format_text("thresholds: there is no weight format '%.32s'", format.c_str()), "Measure the machine again.");
  check_columns(info->name, min_columns);
  thresholds.set_tile_columns(info->format, static_cast<int>(min_columns));
}

void check_thresholds(const KernelThresholds& thresholds) {
  for (const TileThreshold& each : tile_thresholds(thresholds)) check_columns(each.format, each.min_columns);
  const double cost = thresholds.mla_absorbed_cost;
  if (!(cost >= kLeastAbsorbedCost && cost <= kMostAbsorbedCost))
    throw Error(ErrorCode::kBadRequest, format_text("thresholds: expected an absorbed cost of %g to %g, got %g", kLeastAbsorbedCost, kMostAbsorbedCost, cost));
}

}  // namespace moebius
