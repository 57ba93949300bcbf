#include "engine/calibration.h"

#include <atomic>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "engine/threshold_measurement.h"
#include "engine/thresholds.h"
#include "kernels/backend.h"
#include "test.h"

using namespace moebius;

namespace {

constexpr uint64_t kSmallest = uint64_t{128} << 20;

CalibrationOptions small_options(int n_threads) {
  CalibrationOptions options;
  options.n_threads = n_threads;
  options.max_buffer_bytes = kSmallest;
  return options;
}

}  // namespace

TEST(the_switch_of_the_mla_forms_follows_their_cost) {
  CHECK_EQ(mla_expands_from(1, 4096), 168);
  CHECK_EQ(mla_expands_from(2, 4096), 69);
  CHECK_EQ(mla_expands_from(kLeastAbsorbedCost, 4096), 0);
  CHECK_EQ(mla_expands_from(kMostAbsorbedCost, 0), 1);
}

TEST(calibration_measures_what_the_level_has) {
  std::vector<double> fractions;
  const Calibration result = calibrate(small_options(1), nullptr, [&](double fraction) { fractions.push_back(fraction); });
  CHECK_EQ(result.cpu_level, cpu_backend().level());
  CHECK_EQ(result.n_threads, 1);
  CHECK_EQ(result.buffer_bytes, kSmallest);
  // Slower than 100 MB/s or faster than 10 TB/s is no measurement, on any machine.
  CHECK(result.read_bytes > 1e8 && result.read_bytes < 1e13);
  CHECK(result.int8_operations > 1e8 && result.int8_operations < 1e14);
  CHECK(result.f32_operations > 1e8 && result.f32_operations < 1e14);
  CHECK_EQ(result.bf16_operations > 0,
           result.cpu_level == "avx512_bf16" || result.cpu_level == "amx" || (result.cpu_level == "neon_i8mm" && cpu_features().neon_bf16));
  for (const TileThreshold& each : tile_thresholds(result.thresholds)) {
    CHECK(each.min_columns >= 1 && each.min_columns <= kMostTileMinColumns);
    if (result.cpu_level == "reference") CHECK_EQ(each.min_columns, 3);
  }
  check_thresholds(result.thresholds);
  if (result.cpu_level != "reference") {
    CHECK(result.thresholds.tile_min_columns != kDefaultThresholds.tile_min_columns);
    CHECK(result.thresholds.mla_absorbed_cost != 1);
    CHECK_EQ(result.mla_expands_from, mla_expands_from(result.thresholds.mla_absorbed_cost, kMlaExampleHistory));
  }
  CHECK(result.milliseconds > 0);
  CHECK(!fractions.empty());
  for (size_t i = 1; i < fractions.size(); ++i) CHECK(fractions[i] > fractions[i - 1]);
  CHECK_EQ(fractions.back(), 1.0);
}

TEST(calibration_stops_when_asked) {
  std::atomic<bool> cancel{false};
  int n_reports = 0;
  bool cancelled = false;
  try {
    calibrate(small_options(1), &cancel, [&](double) { cancel = ++n_reports == 3; });
  } catch (const Error& error) {
    cancelled = error.code() == ErrorCode::kCancelled;
  }
  CHECK(cancelled);
  CHECK_EQ(n_reports, 3);
}

TEST(calibration_refuses_what_it_cannot_do) {
  CalibrationOptions options = small_options(1);
  options.max_buffer_bytes = kSmallest - 1;
  CHECK_THROWS(Error, "128 MiB", calibrate(options));
  CHECK_THROWS(Error, "threads", calibrate(small_options(-1)));
  CHECK_THROWS(Error, "1025", calibrate(small_options(1025)));
}
