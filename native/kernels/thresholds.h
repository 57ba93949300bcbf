// From where on one way to compute beats another that gives the same result up to rounding.
// Where that is depends on the processor and its level: engine/calibration.h measures it, and
// the defaults hold until it has. Nothing but speed and the last bits depend on them, in exact
// mode not even those: there kernels keep kExactThresholds. Backends other than the CPU, and
// the plain loops, ignore them.
#pragma once

#include <array>
#include <cstdint>

#include "tensor/tensor.h"

namespace moebius {

constexpr int kQuantFormatIds = 41;  // highest QuantFormat + 1
constexpr int kMostTileMinColumns = 128;
constexpr double kLeastAbsorbedCost = 0.25, kMostAbsorbedCost = 4;

struct KernelThresholds {
  // Columns (input rows that one product multiplies in prefill) from which on expanding tiles of
  // the weights beats row dots, by QuantFormat: 1 (always tiles) to kMostTileMinColumns.
  std::array<uint8_t, kQuantFormatIds> tile_min_columns = {};
  // Time of one multiply-add of absorbed MLA attention over that of expanded attention, the
  // products with a quantised W_kv_b included in both, for as many tokens as make the forms
  // equally fast: kLeastAbsorbedCost to kMostAbsorbedCost.
  double mla_absorbed_cost = 1;

  constexpr KernelThresholds() : KernelThresholds(3) {}
  explicit constexpr KernelThresholds(uint8_t columns) {
    for (uint8_t& each : tile_min_columns) each = columns;
  }

  int64_t tile_columns(QuantFormat format) const { return tile_min_columns[static_cast<size_t>(format)]; }
  void set_tile_columns(QuantFormat format, int columns) {
    tile_min_columns[static_cast<size_t>(format)] = static_cast<uint8_t>(columns);
  }
};

inline constexpr KernelThresholds kDefaultThresholds{}, kExactThresholds(3);

}  // namespace moebius
