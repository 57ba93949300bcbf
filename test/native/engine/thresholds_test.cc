// Thresholds of a load: checked, and without influence beyond rounding.
#include "engine/thresholds.h"

#include "base/error.h"
#include "engine/model_cases.h"

using namespace moebius;
using namespace moebius::test;

namespace {

KernelThresholds thresholds_of(int columns, double absorbed_cost) {
  KernelThresholds thresholds;
  for (const TileThreshold& each : tile_thresholds(thresholds)) set_tile_threshold(thresholds, each.format, columns);
  thresholds.mla_absorbed_cost = absorbed_cost;
  return thresholds;
}

std::shared_ptr<Model> load_with(const Golden& golden, const KernelThresholds& thresholds, bool exact) {
  LoadOptions options;
  options.n_threads = 1;
  options.exact = exact;
  options.thresholds = thresholds;
  return Model::load(golden.gguf_path(), options);
}

}  // namespace

TEST(thresholds_are_read_and_set_by_the_names_of_formats) {
  KernelThresholds thresholds;
  set_tile_threshold(thresholds, "Q4_K", 7);
  set_tile_threshold(thresholds, "BF16", kMostTileMinColumns);
  CHECK_EQ(thresholds.tile_columns(QuantFormat::kQ4_K), 7);
  CHECK_EQ(thresholds.tile_columns(QuantFormat::kBF16), kMostTileMinColumns);
  CHECK_EQ(thresholds.tile_columns(QuantFormat::kQ6_K), kDefaultThresholds.tile_columns(QuantFormat::kQ6_K));
  const std::vector<TileThreshold> named = tile_thresholds(thresholds);
  CHECK_EQ(named.size(), weight_formats().size());
  CHECK_EQ(named.front().format, std::string("F32"));
  for (const TileThreshold& each : named)
    if (each.format == "Q4_K") CHECK_EQ(each.min_columns, 7);
  check_thresholds(thresholds);
}

TEST(thresholds_out_of_range_are_refused) {
  KernelThresholds thresholds;
  CHECK_THROWS(Error, "Q9_K", set_tile_threshold(thresholds, "Q9_K", 3));
  CHECK_THROWS(Error, "I32", set_tile_threshold(thresholds, "I32", 3));
  CHECK_THROWS(Error, "1 to 128 columns for Q4_K, got 0", set_tile_threshold(thresholds, "Q4_K", 0));
  CHECK_THROWS(Error, "got 129", set_tile_threshold(thresholds, "Q4_K", 129));
  CHECK_THROWS(Error, "got -1", set_tile_threshold(thresholds, "Q4_K", -1));
  const std::string path = MOEBIUS_FIXTURES "/models/deepseek2-v3.gguf";
  for (const double cost : {0.0, 0.2, 4.1, -1.0, std::nan("")}) {
    LoadOptions options;
    options.thresholds.mla_absorbed_cost = cost;
    CHECK_THROWS(Error, "absorbed cost", Model::load(path, options));
  }
  LoadOptions options;
  options.thresholds.set_tile_columns(QuantFormat::kQ4_K, 0);
  CHECK_THROWS(Error, "Q4_K", Model::load(path, options));
}

TEST(a_model_is_right_with_the_thresholds_of_any_machine) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-q.Q4_K_M");
  if (golden == nullptr) return;
  const KernelThresholds machines[] = {thresholds_of(1, kMostAbsorbedCost), thresholds_of(kMostTileMinColumns, kLeastAbsorbedCost), thresholds_of(5, 1.7)};
  for (const char* sequence : {"s17", "s96"}) {
    const std::vector<int32_t>& tokens = golden->sequences().at(sequence);
    const GoldenArray& expected = golden->array(std::string(sequence) + ".logits");
    const std::vector<float> exact = flat(logits(load_with(*golden, KernelThresholds(), true), tokens));
    for (const KernelThresholds& machine : machines) {
      CHECK_NEAR(median(row_errors(logits(load_with(*golden, machine, false), tokens), expected)), 0, 5e-4);
      // In two parts, so that there is a history to expand or not.
      const std::shared_ptr<Session> session = open_session(load_with(*golden, machine, false), /*prefill_chunk=*/8);
      CHECK_NEAR(median(row_errors(all_logits(*session, tokens), expected)), 0, 5e-4);
      CHECK(flat(logits(load_with(*golden, machine, true), tokens)) == exact);
    }
  }
}
