#include "kernels/cpu/amx_check.h"

#include <cstring>
#include <memory>
#include <vector>

#include "quant/quant_format.h"

namespace moebius::cpu {

namespace {

constexpr int64_t kInputs = 512, kBlocks = kInputs / 256;
constexpr int64_t kColumns = 16 + 7;  // a full register and a partial one

// One format of each kind of product: groups of 32 and 16, with and without mins.
struct Sample {
  QuantFormat format;
  int halves[2];  // where a block has its f16 scales
};
constexpr Sample kSamples[] = {
    {QuantFormat::kQ8_0, {0, 0}}, {QuantFormat::kQ4_K, {0, 2}}, {QuantFormat::kQ6_K, {208, 208}}, {QuantFormat::kQ2_K, {80, 82}}};

class Numbers {
 public:
  uint32_t next() { return (state_ = state_ * 1664525u + 1013904223u) >> 8; }

 private:
  uint32_t state_ = 1;
};

std::vector<uint8_t> weight_bytes(const Sample& sample, Numbers& numbers) {
  const QuantFormatInfo& info = quant_format_info(sample.format);
  std::vector<uint8_t> bytes(quant_row_bytes(sample.format, kInputs) * kTileRows);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(numbers.next());
  for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(info.block_bytes))
    for (int at : sample.halves) {
      const uint16_t scale = f32_to_f16(0.001f * static_cast<float>(1 + numbers.next() % 64));
      std::memcpy(bytes.data() + block + at, &scale, sizeof scale);
    }
  return bytes;
}

std::vector<float> product(const LevelOps& ops, const Sample& sample, const std::vector<uint8_t>& weights,
                           const std::vector<ActivationBlock>& x) {
  constexpr int64_t kPanels = (kColumns + kTileColumns - 1) / kTileColumns;
  const WeightRows rows{weights.data(), weights.size() / kTileRows, kTileRows, kInputs};
  std::vector<ColumnBlock> panels(kPanels * kBlocks);
  for (int64_t p = 0; p < kPanels; ++p) {
    const ActivationBlock* of_panel[kTileColumns];
    const auto n = static_cast<int>(std::min<int64_t>(kTileColumns, kColumns - p * kTileColumns));
    for (int i = 0; i < n; ++i) of_panel[i] = x.data() + (p * kTileColumns + i) * kBlocks;
    ops.pack_groups(of_panel, n, {0, kBlocks * 8}, kBlocks, panels.data() + p * kBlocks);
  }
  const auto tile = std::make_unique<TileBlock>();
  std::vector<float> c(kColumns * kTileRows, 0.0f);
  const auto format = static_cast<int>(sample.format);
  for (int64_t b = 0; b < kBlocks; ++b) {
    ops.expand_tile[format](rows, b, tile.get());
    ops.multiply_tile[format](*tile, {panels.data(), kBlocks, b}, kColumns, {}, c.data());
  }
  return c;
}

}  // namespace

std::string tile_product_fault(const LevelOps& amx, const LevelOps& trusted) {
  Numbers numbers;
  std::vector<float> inputs(kInputs);
  std::vector<ActivationBlock> x(kColumns * kBlocks);
  for (int64_t i = 0; i < kColumns; ++i) {
    for (float& value : inputs) value = static_cast<float>(static_cast<int>(numbers.next() % 2001) - 1000) * 0.001f;
    trusted.quantize_groups(inputs.data(), kInputs, 0, kBlocks * 8, x.data() + i * kBlocks);
  }
  for (const Sample& sample : kSamples) {
    const std::vector<uint8_t> weights = weight_bytes(sample, numbers);
    const std::vector<float> expected = product(trusted, sample, weights, x), actual = product(amx, sample, weights, x);
    if (std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)) != 0)
      return std::string("tile products of ") + quant_format_info(sample.format).name + " differ from those of the vector kernels";
  }
  return "";
}

}  // namespace moebius::cpu
