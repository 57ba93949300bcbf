// The product of the amx level over a software model of the tile registers: against plain
// loops with vectors of plain floats on every machine, and against the avx512 kernels, which
// it must equal bit for bit, where the machine has them.
#include <memory>

#include "kernels/cpu/amx/calibrate.h"
#include "kernels/cpu/amx/product.h"
#include "kernels/cpu/amx/register_model.h"
#include "kernels/cpu/amx_check.h"
#include "kernels/cpu/levels.h"
#include "native/kernels/kernel_cases.h"

namespace {

using namespace moebius;
using namespace moebius::cpu;
using namespace moebius::test;

// What simd512.h offers the product, one lane after the other.
struct PlainVector {
  static constexpr int kLanes = 16;
  struct F {
    float v[kLanes];
  };
  struct I {
    int32_t v[kLanes];
  };
  template <typename Value>
  static F floats(Value value) {
    F out;
    for (int l = 0; l < kLanes; ++l) out.v[l] = value(l);
    return out;
  }
  template <typename Value>
  static I ints(Value value) {
    I out;
    for (int l = 0; l < kLanes; ++l) out.v[l] = value(l);
    return out;
  }
  static F load(const float* p) { return floats([p](int l) { return p[l]; }); }
  static void store(float* p, F v) { std::memcpy(p, v.v, sizeof v.v); }
  static F set1(float x) { return floats([x](int) { return x; }); }
  static F mul(F a, F b) { return floats([&](int l) { return a.v[l] * b.v[l]; }); }
  static F fma(F a, F b, F c) { return floats([&](int l) { return std::fma(a.v[l], b.v[l], c.v[l]); }); }
  static F fnma(F a, F b, F c) { return floats([&](int l) { return std::fma(-a.v[l], b.v[l], c.v[l]); }); }
  static F to_float(I a) { return floats([&](int l) { return static_cast<float>(a.v[l]); }); }
  static I zero_int() { return ints([](int) { return 0; }); }
  static I broadcast_int(const int32_t* p) {
    int32_t value;
    std::memcpy(&value, p, sizeof value);
    return ints([value](int) { return value; });
  }
  static I load_aligned(const void* p) {
    I out;
    std::memcpy(out.v, p, sizeof out.v);
    return out;
  }
  static I add_bytes(I a, int n) {
    uint8_t bytes[64];
    std::memcpy(bytes, a.v, sizeof bytes);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(byte + n);
    return load_aligned(bytes);
  }
  static I dot(I sums, I codes, I x) {
    uint8_t of_codes[64];
    int8_t of_x[64];
    std::memcpy(of_codes, codes.v, sizeof of_codes);
    std::memcpy(of_x, x.v, sizeof of_x);
    for (int i = 0; i < 64; ++i) sums.v[i / 4] += of_codes[i] * of_x[i];
    return sums;
  }
};

// A random expanded tile as a level with tile registers holds it: signed codes, or small
// unsigned ones with mins.
std::unique_ptr<TileBlock> random_tile(bool has_min, Random& random) {
  auto tile = std::make_unique<TileBlock>();
  for (uint8_t& code : tile->codes) code = static_cast<uint8_t>(has_min ? random.below(128) : random.below(256));
  for (float& scale : tile->scales) scale = 0.01f * random.normal();
  for (float& min : tile->mins) min = 0.01f * random.normal();
  return tile;
}

std::vector<ActivationBlock> random_columns(int64_t n, int64_t n_blocks, Random& random) {
  std::vector<ActivationBlock> columns(static_cast<size_t>(n * n_blocks));
  for (ActivationBlock& block : columns) {
    for (int8_t& code : block.codes) code = static_cast<int8_t>(random.below(255) - 127);
    for (float& scale : block.scales) scale = 0.01f * std::fabs(random.normal());
    for (int g = 0; g < 16; ++g) {
      int sum = 0;
      for (int k = 0; k < 16; ++k) sum += block.codes[16 * g + k];
      block.sums16[cpu::lane_of_group(g)] = block.scales[g / 2] * static_cast<float>(sum);
    }
    for (int g = 0; g < 8; ++g) block.sums32[g] = block.sums16[cpu::lane_of_group(2 * g)] + block.sums16[cpu::lane_of_group(2 * g + 1)];
  }
  return columns;
}

// Columns as the orchestration packs them: panels of six.
std::vector<ColumnBlock> packed(const std::vector<ActivationBlock>& columns, int64_t n, int64_t n_blocks) {
  const int64_t n_panels = (n + kTileColumns - 1) / kTileColumns;
  std::vector<ColumnBlock> panels(static_cast<size_t>(n_panels * n_blocks));
  for (int64_t p = 0; p < n_panels; ++p) {
    const ActivationBlock* rows[kTileColumns];
    const auto count = static_cast<int>(std::min<int64_t>(kTileColumns, n - p * kTileColumns));
    for (int i = 0; i < count; ++i) rows[i] = columns.data() + (p * kTileColumns + i) * n_blocks;
    pack_amx_groups(rows, count, {0, n_blocks * 8}, n_blocks, panels.data() + p * n_blocks);
  }
  return panels;
}

double plain_product(const TileBlock& tile, bool has_min, int group, const ActivationBlock& x, int64_t row) {
  double sum = 0;
  const int64_t half = row / 16, lane = row % 16;
  for (int k = 0; k < 256; ++k) {
    const uint8_t byte = tile.codes[((half * 64 + k / 4) * 16 + lane) * 4 + k % 4];
    const int code = has_min ? byte : static_cast<int8_t>(byte);
    const int64_t factor = (half * 16 + k / group) * 16 + lane;
    const double weight = static_cast<double>(tile.scales[factor]) * code - (has_min ? tile.mins[factor] : 0.0f);
    sum += weight * x.scales[k / 32] * x.codes[k];
  }
  return sum;
}

template <int kGroup, bool kHasMin>
void check_products() {
  Random random(kGroup + kHasMin);
  constexpr int64_t kBlocks = 2, kGuard = 40;
  for (int64_t n = 1; n <= 65; ++n) {
    const auto tile = random_tile(kHasMin, random);
    const auto columns = random_columns(n, kBlocks, random);
    const auto panels = packed(columns, n, kBlocks);
    std::vector<float> c(static_cast<size_t>(n * kTileRows + kGuard), 0.5f), expected(c);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < kTileRows; ++r)
        expected[static_cast<size_t>(i * kTileRows + r)] += static_cast<float>(plain_product(*tile, kHasMin, kGroup, columns[static_cast<size_t>(i * kBlocks + 1)], r));
    AmxProduct<RegisterModel, PlainVector, kGroup, kHasMin>::multiply(*tile, {panels.data(), kBlocks, 1}, n, {}, c.data());
    check_below("columns " + std::to_string(n) + " group " + std::to_string(kGroup), nmse(c, expected), 1e-11);
    for (size_t i = c.size() - kGuard; i < c.size(); ++i) CHECK_EQ(c[i], 0.5f);
    CHECK(!RegisterModel::in_use());
  }
}

#ifdef MOEBIUS_X86_LEVELS
// The products of the amx model with one weight code off by one.
void faulty_product(const TileBlock& tile, const PanelBlock& x, int64_t n, Upcoming next, float* c) {
  auto copy = std::make_unique<TileBlock>(tile);
  copy->codes[5000] ^= 1;
  amx_model_ops().multiply_tile[static_cast<int>(QuantFormat::kQ6_K)](*copy, x, n, next, c);
}

bool has_model() {
  if (!modelled_cpu_levels().empty()) return true;
  skip("this processor has no avx512 level");
  return false;
}
#endif

}  // namespace

TEST(tile_products_match_plain_loops_for_1_to_65_columns) {
  check_products<32, false>();
  check_products<32, true>();
  check_products<16, false>();
  check_products<16, true>();
}

TEST(the_register_model_follows_the_manual) {
  TileConfig config;
  config.set(0, 2, 8);   // sums: 2 x 2 words
  config.set(2, 2, 12);  // x: 2 rows of 12 codes
  config.set(4, 3, 8);   // weights: 3 rows of 2 words
  CHECK_THROWS(std::logic_error, "without a configuration", RegisterModel::zero<0>());
  RegisterModel::configure(config);
  CHECK_THROWS(std::logic_error, "without a shape", RegisterModel::zero<1>());
  int8_t x[2][12], weights[3][8];
  for (int i = 0; i < 24; ++i) x[i / 12][i % 12] = static_cast<int8_t>(11 * i - 128);
  for (int i = 0; i < 24; ++i) weights[i / 8][i % 8] = static_cast<int8_t>(127 - 9 * i);
  int32_t start[2][2] = {{1000, -1000}, {5, 7}}, sums[2][2] = {};
  RegisterModel::load<0>(start, 8);
  RegisterModel::load<2>(x, 12);
  RegisterModel::load<4>(weights, 8);
  RegisterModel::dot<0, 2, 4>();
  RegisterModel::store<0>(sums, 8);
  for (int m = 0; m < 2; ++m)
    for (int n = 0; n < 2; ++n) {
      int expected = start[m][n];
      for (int k = 0; k < 12; ++k) expected += x[m][k] * weights[k / 4][4 * n + k % 4];
      CHECK_EQ(sums[m][n], expected);
    }
  config.set(4, 2, 8);
  RegisterModel::configure(config);
  RegisterModel::store<0>(sums, 8);
  CHECK_EQ(sums[1][1], 0);  // configuring clears
  CHECK_THROWS(std::logic_error, "shape of the weights", RegisterModel::dot<0, 2, 4>());
  config.set(4, 17, 8);
  CHECK_THROWS(std::logic_error, "LDTILECFG: shape", RegisterModel::configure(config));
  RegisterModel::release();
  CHECK(!RegisterModel::in_use());
}

TEST(the_peak_loop_of_tile_registers_counts_what_it_does) {
  // Every round adds 9 * 64 to every sum; four sums are reported.
  CHECK_EQ(amx_int8_rounds<RegisterModel>(5), 4.0f * 5 * 9 * 64);
  CHECK_EQ(kAmxOperationsPerRound, 4.0 * 16 * 16 * 64 * 2);
  CHECK(!RegisterModel::in_use());
}

#ifdef MOEBIUS_X86_LEVELS
TEST(prefill_over_modelled_tile_registers_equals_avx512_bit_for_bit) {
  if (!has_model()) return;
  uint32_t seed = 500;
  for (const QuantFormatInfo* info : weight_formats()) {
    for (int64_t n_tokens : {3, 4, 5, 16, 19, 21, 65, 201}) {
      const int64_t n_in = info->block_elements == 1 ? 100 : 11 * info->block_elements;
      const TestMatrix weights(info->format, n_in, 37, ++seed);
      const std::vector<float> x = Random(++seed).vector(n_in * n_tokens);
      const auto run = [&](const char* level) {
        KernelContext context;
        context.phase = Phase::kPrefill;
        std::vector<float> y(static_cast<size_t>(n_tokens * 37));
        const MatmulJob job{weights.view, nullptr, y.data(), 37};
        cpu_backend_at(level).kernels().matmul(context, x.data(), n_tokens, n_in, &job, 1);
        return y;
      };
      if (!identical(run("amx_model"), run("avx512"))) fail(info->name, static_cast<int>(n_tokens), "amx_model differs from avx512");
    }
  }
}

TEST(the_check_at_start_accepts_the_model_and_notices_one_wrong_bit) {
  if (!has_model()) return;
  CHECK_EQ(tile_product_fault(amx_model_ops(), avx512_ops()), std::string());
  LevelOps faulty = amx_model_ops();
  faulty.multiply_tile[static_cast<int>(QuantFormat::kQ6_K)] = faulty_product;
  CHECK_EQ(tile_product_fault(faulty, avx512_ops()), std::string("tile products of Q6_K differ from those of the vector kernels"));
  LevelOps unpacked = amx_model_ops();
  unpacked.pack_groups = avx512_ops().pack_groups;
  CHECK(!tile_product_fault(unpacked, avx512_ops()).empty());
}
#endif

TEST(models_of_levels_are_never_offered) {
  for (const std::string& level : cpu_levels()) CHECK(level != "amx_model");
  CHECK(cpu_backend().level() != "amx_model");
}
