#include "engine/threshold_measurement.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <limits>
#include <vector>

#include "base/page_buffer.h"
#include "engine/thresholds.h"
#include "model/blocks/blocks.h"
#include "ops/ops.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

using Clock = std::chrono::steady_clock;

// Tiles have to win by so much: near a tie the number of columns matters little, and noise must
// not decide.
constexpr double kWinningShare = 0.97;
// Columns that are measured: tiles are six wide, row dots eight.
constexpr int kColumns[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64, 96};
// What is measured is an expert layer, where few columns are the rule: two experts of about
// DeepSeek-V2-Lite's size, copied until the caches hold a part of them only, as of a model.
constexpr int64_t kExperts = 2, kHidden = 2048;
constexpr int64_t kFfSizes[] = {1280, 512, 256};
// On slow machines they are smaller: so that one layer takes no longer than this, at 8 columns.
constexpr double kLayerSeconds = 0.003;
constexpr size_t kWeightBytes = size_t{96} << 20;
constexpr int64_t kPatternWeights = 2048;  // distinct ones, repeated over all matrices
// Runs of one number of columns, both ways, go on until the two fastest of each way agree: on a
// quiet machine at once, beside other programs later.
constexpr int kLeastPairs = 2, kMostPairs = 30;
constexpr double kAgreement = 1.03, kPairSeconds = 0.015;

// DeepSeek-V2's heads behind so many cached tokens. The cost depends on the number of new ones:
// it is measured where it makes the forms equally fast, in a few approaches.
constexpr int64_t kHeads = 16, kRank = 512, kNope = 128, kRope = 64, kValue = 128;
constexpr int64_t kPast = 1024, kLeastNew = 16, kMostNew = 256;
constexpr int kApproaches = 3, kMostMlaPairs = 6;

// Roughly normal values, the same everywhere.
class Values {
 public:
  float next() {
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      sum += static_cast<float>(state_ >> 40) * 0x1p-24f - 0.5f;
    }
    return sum;
  }
  void fill(float* values, int64_t n) {
    for (int64_t i = 0; i < n; ++i) values[i] = next();
  }

 private:
  uint64_t state_ = 1;
};

// Valid blocks of a format all over `bytes` bytes.
void fill_weights(QuantFormat format, ThreadPool& pool, uint8_t* data, size_t bytes) {
  std::vector<float> values(kPatternWeights);
  Values().fill(values.data(), kPatternWeights);
  std::vector<uint8_t> pattern(quant_row_bytes(format, kPatternWeights));
  quant_format_info(format).quantize_row(values.data(), pattern.data(), kPatternWeights);
  const auto n_parts = static_cast<int64_t>((bytes + pattern.size() - 1) / pattern.size());
  pool.parallel_for(n_parts, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const size_t at = static_cast<size_t>(i) * pattern.size();
      std::memcpy(data + at, pattern.data(), std::min(pattern.size(), bytes - at));
    }
  });
}

Matrix matrix_of(QuantFormat format, int64_t n_in, int64_t n_out, int64_t n_matrices, const void* data) {
  Matrix matrix;
  matrix.data = data;
  matrix.format = format;
  matrix.n_in = n_in;
  matrix.n_out = n_out;
  matrix.n_matrices = n_matrices;
  matrix.row_bytes = quant_row_bytes(format, n_in);
  matrix.matrix_stride = matrix.row_bytes * static_cast<size_t>(n_out);
  return matrix;
}

constexpr double kNever = std::numeric_limits<double>::infinity();

struct Fastest {
  double first = kNever, second = kNever;  // seconds

  double add(double seconds) {
    second = std::min(second, std::max(first, seconds));
    first = std::min(first, seconds);
    return seconds;
  }
  bool agree() const { return second < kAgreement * first; }
};

MlaConfig mla_heads() {
  MlaConfig mla;
  mla.kv_lora_rank = kRank;
  mla.qk_nope_head_dim = kNope;
  mla.qk_rope_head_dim = kRope;
  mla.v_head_dim = kValue;
  return mla;
}

MlaShape mla_shape() {
  MlaShape shape;
  shape.n_heads = kHeads;
  shape.kv_lora_rank = kRank;
  shape.qk_nope_head_dim = kNope;
  shape.qk_rope_head_dim = kRope;
  shape.v_head_dim = kValue;
  shape.scale = 0.07f;
  shape.row_bytes = cache_row_bytes(shape.cache_format, kRank + kRope);
  return shape;
}

class Measurement {
 public:
  Measurement(const KernelTable& kernels, ThreadPool& pool, const std::function<void()>& check)
      : pool_(pool), check_(check), weights_(kWeightBytes) {
    op_.kernels = &kernels;
    op_.kernel.pool = &pool;
    op_.kernel.scratch = &scratch_;
    op_.kernel.phase = Phase::kPrefill;
    op_.kernel.thresholds = &forced_;
    fill_weights(QuantFormat::kQ8_0, pool_, weights_.as<uint8_t>(), 3 * part_bytes(QuantFormat::kQ8_0));
    for (const int64_t ff : kFfSizes) {
      ff_ = ff;
      expert_layer(QuantFormat::kQ8_0, 1, 8, 1);  // the clock rises, pages come in
      if (expert_layer(QuantFormat::kQ8_0, 1, 8, 1) < kLayerSeconds) break;
    }
  }

  // By halving: of the columns that were measured, the fewest from which on tiles win for all.
  int tile_columns(QuantFormat format) {
    const size_t copy = 3 * part_bytes(format), n_copies = kWeightBytes / copy;
    fill_weights(format, pool_, weights_.as<uint8_t>(), n_copies * copy);
    int losing = -1, winning = static_cast<int>(std::size(kColumns));
    while (winning - losing > 1) {
      const int middle = (losing + winning) / 2;
      (tiles_win(format, n_copies, kColumns[middle]) ? winning : losing) = middle;
    }
    return winning < static_cast<int>(std::size(kColumns)) ? kColumns[winning] : kMostTileMinColumns;
  }

  // Time of a multiply-add of absorbed attention over that of expanded attention.
  double absorbed_cost() {
    const size_t part = quant_row_bytes(QuantFormat::kQ8_0, kNope * kRank * kHeads);
    fill_weights(QuantFormat::kQ8_0, pool_, weights_.as<uint8_t>(), 2 * part);
    const Matrix k_b = matrix_of(QuantFormat::kQ8_0, kNope, kRank, kHeads, weights_.data());
    const Matrix v_b = matrix_of(QuantFormat::kQ8_0, kRank, kValue, kHeads, weights_.as<uint8_t>() + part);
    double cost = 1;
    for (int i = 0; i < kApproaches; ++i) {
      const int64_t from = mla_expands_from(cost, kPast), n_new = from > 0 ? std::clamp(from, kLeastNew, kMostNew) : kMostNew;
      cost = std::clamp(absorbed_cost(k_b, v_b, n_new), kLeastAbsorbedCost, kMostAbsorbedCost);
    }
    return cost;
  }

 private:
  // One of the three stacks of matrices.
  size_t part_bytes(QuantFormat format) const { return quant_row_bytes(format, kHidden * ff_ * kExperts); }

  bool tiles_win(QuantFormat format, size_t n_copies, int n_columns) {
    Fastest tiles, dots;
    double spent = 0;
    for (int i = 0; i < kMostPairs; ++i) {
      if (i >= kLeastPairs && ((tiles.agree() && dots.agree()) || spent > kPairSeconds)) break;
      spent += tiles.add(expert_layer(format, n_copies, n_columns, 1));
      spent += dots.add(expert_layer(format, n_copies, n_columns, kMostTileMinColumns));
    }
    return tiles.first < kWinningShare * dots.first;
  }

  // Seconds of one layer of the next copy of the weights, each expert with n_columns tokens.
  double expert_layer(QuantFormat format, size_t n_copies, int n_columns, int tile_min_columns) {
    const size_t part = part_bytes(format);
    const uint8_t* data = weights_.as<uint8_t>() + (copy_++ % n_copies) * 3 * part;
    MoeFfn layer;
    layer.n_active_experts = 1;
    layer.experts.gate_proj = matrix_of(format, kHidden, ff_, kExperts, data);
    layer.experts.up_proj = matrix_of(format, kHidden, ff_, kExperts, data + part);
    layer.experts.down_proj = matrix_of(format, ff_, kHidden, kExperts, data + 2 * part);
    const int64_t n_tokens = n_columns * kExperts;
    std::vector<int32_t> experts(static_cast<size_t>(n_tokens));
    for (size_t t = 0; t < experts.size(); ++t) experts[t] = static_cast<int32_t>(t % kExperts);
    const std::vector<float> routing_weights(experts.size(), 1.0f);
    const Rows x = random_rows(n_tokens, kHidden), y = op_.rows(n_tokens, kHidden);
    forced_.set_tile_columns(format, tile_min_columns);
    const double seconds = timed([&] { moe_ffn(op_, layer, x, experts.data(), routing_weights.data(), y); });
    scratch_.reset();
    return seconds;
  }

  double absorbed_cost(const Matrix& k_b, const Matrix& v_b, int64_t n_new) {
    const MlaShape shape = mla_shape();
    const Rows latent = random_rows(kPast + n_new, kRank + kRope), q = random_rows(n_new, kHeads * (kNope + kRope));
    const Rows out = op_.rows(n_new, kHeads * kValue);
    const PageBuffer cache(shape.row_bytes * static_cast<size_t>(kPast + n_new));
    store_cache_rows(op_, latent, shape.cache_format, cache.data(), shape.row_bytes);
    const AttentionSpan span{0, n_new, kPast, cache.data(), nullptr};
    Fastest absorbed, expanded;
    for (int i = 0; i < kMostMlaPairs && (i < kLeastPairs || !(absorbed.agree() && expanded.agree())); ++i) {
      absorbed.add(timed([&] { attend_absorbed(op_, shape, k_b, v_b, q, {&span, 1}, out); }));
      expanded.add(timed([&] { mla_expanded_attention(op_, shape, k_b, v_b, q, {&span, 1}, out); }));
    }
    scratch_.reset();
    const MlaOperations operations = mla_operations(mla_heads(), n_new, kPast);
    return absorbed.first / operations.absorbed / (expanded.first / operations.expanded);
  }

  Rows random_rows(int64_t n_rows, int64_t n) {
    const Rows rows = op_.rows(n_rows, n);
    Values().fill(rows.data, n_rows * n);
    return rows;
  }

  double timed(const std::function<void()>& work) {
    check_();
    const Scratch::Mark mark = scratch_.mark();
    const Clock::time_point start = Clock::now();
    work();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    scratch_.release(mark);
    return std::max(1e-9, seconds);
  }

  ThreadPool& pool_;
  const std::function<void()>& check_;
  PageBuffer weights_;
  int64_t ff_ = kFfSizes[0];
  size_t copy_ = 0;
  Scratch scratch_;
  OpContext op_;
  KernelThresholds forced_;
};

}  // namespace

int threshold_steps() {
  return static_cast<int>(weight_formats().size()) + 1;
}

KernelThresholds measure_thresholds(const KernelTable& kernels, ThreadPool& pool, const std::function<void()>& check,
                                    const std::function<void()>& advance) {
  KernelThresholds result;
  Measurement measurement(kernels, pool, check);
  for (const QuantFormat format : weight_formats()) {
    result.set_tile_columns(format, measurement.tile_columns(format));
    advance();
  }
  result.mla_absorbed_cost = measurement.absorbed_cost();
  advance();
  return result;
}

int64_t mla_expands_from(double absorbed_cost, int64_t n_past) {
  constexpr int64_t kMost = int64_t{1} << 20;
  for (int64_t n = 1; n <= kMost; ++n)
    if (expands_keys(mla_heads(), n, n_past, absorbed_cost)) return n;
  return 0;
}

}  // namespace moebius
