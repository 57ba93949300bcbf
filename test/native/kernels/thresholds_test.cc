// Thresholds choose between row dots and tiles: both ways are within tolerance of the plain
// loops, and neither decode nor exact mode asks them.
#include "native/kernels/kernel_cases.h"

namespace {

using namespace moebius;
using namespace moebius::test;

constexpr QuantFormat kFormats[] = {QuantFormat::kF32,  QuantFormat::kBF16,  QuantFormat::kQ8_0,   QuantFormat::kQ4_0,
                                    QuantFormat::kQ4_K, QuantFormat::kQ6_K,  QuantFormat::kIQ3_S, QuantFormat::kTQ1_0,
                                    QuantFormat::kMXFP4, QuantFormat::kIQ2_XXS};
constexpr int kAlways = 1, kSeldom = kMostTileMinColumns;

struct Options {
  Phase phase = Phase::kPrefill;
  bool exact = false;
  ThreadPool* pool = nullptr;
};

KernelContext context_of(Scratch& scratch, const KernelThresholds& thresholds, const Options& options) {
  KernelContext context;
  context.scratch = &scratch;
  context.thresholds = &thresholds;
  context.phase = options.phase;
  context.exact = options.exact;
  context.pool = options.pool;
  return context;
}

KernelThresholds all(int columns) { return KernelThresholds(static_cast<uint8_t>(columns)); }

// A block's three matrices multiply one input, so that several formats share its columns.
std::vector<float> products(const KernelTable& kernels, const std::vector<const Matrix*>& matrices, const std::vector<float>& x,
                            int64_t n_tokens, const KernelThresholds& thresholds, const Options& options = {}) {
  Scratch scratch;
  KernelContext context = context_of(scratch, thresholds, options);
  int64_t n_out = 0;
  for (const Matrix* each : matrices) n_out += each->n_out;
  std::vector<float> y(static_cast<size_t>(n_tokens * n_out), -1.0f);
  std::vector<MatmulJob> jobs;
  float* to = y.data();
  for (const Matrix* each : matrices) {
    jobs.push_back({*each, nullptr, to, n_out});
    to += each->n_out;
  }
  kernels.matmul(context, x.data(), n_tokens, matrices[0]->n_in, jobs.data(), static_cast<int64_t>(jobs.size()));
  return y;
}

std::string label(QuantFormat format, const std::string& level, int64_t n) {
  return std::string(quant_format_info(format).name) + " " + level + " columns " + std::to_string(n);
}

struct Mixture {
  TestMatrix gate, up, down;
  std::vector<float> x, routing_weights;
  std::vector<int32_t> ids;
  int64_t n_tokens;

  // Tokens go to the experts unevenly: groups of 1, 2, 3, … of them.
  Mixture(QuantFormat gate_format, QuantFormat up_format, QuantFormat down_format, int64_t n_experts, int64_t n)
      : gate(gate_format, 256, 256, 1, n_experts), up(up_format, 256, 256, 2, n_experts), down(down_format, 256, 256, 3, n_experts),
        x(Random(4).vector(n * 256, 0.5f)), n_tokens(n) {
    int32_t expert = 0, left = 1;
    for (int64_t t = 0; t < n; ++t) {
      ids.push_back(expert);
      routing_weights.push_back(0.5f);
      if (--left == 0) {
        expert = static_cast<int32_t>((expert + 1) % n_experts);
        left = expert + 1;
      }
    }
  }

  std::vector<float> run(const KernelTable& kernels, const KernelThresholds& thresholds, const Options& options = {}) const {
    Scratch scratch;
    KernelContext context = context_of(scratch, thresholds, options);
    MoeFfn moe;
    moe.experts.gate_proj = gate.view;
    moe.experts.up_proj = up.view;
    moe.experts.down_proj = down.view;
    moe.n_active_experts = 1;
    std::vector<float> y(x.size(), -1.0f);
    kernels.moe_ffn(context, moe, x.data(), n_tokens, ids.data(), routing_weights.data(), y.data());
    return y;
  }
};

}  // namespace

TEST(products_are_right_on_either_side_of_a_threshold) {
  ThreadPool two(2);
  for (const std::string& level : fast_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    int n_that_differ = 0;
    for (QuantFormat format : kFormats) {
      const TestMatrix weights(format, 512, 70, 3);
      for (int64_t n = 1; n <= 8; ++n) {
        const std::vector<float> x = Random(static_cast<uint32_t>(n)).vector(512 * n);
        const auto expected = products(reference_backend().kernels(), {&weights.view}, x, n, all(kAlways));
        const auto tiles = products(kernels, {&weights.view}, x, n, all(kAlways)), dots = products(kernels, {&weights.view}, x, n, all(kSeldom));
        for (const auto& way : {tiles, dots}) check_below(label(format, level, n), nmse(way, expected), is_float(format) ? kFloatNmse : kCodesNmse);
        // Below the threshold prefill takes the row dots of decode, which never asks.
        const auto decoded = products(kernels, {&weights.view}, x, n, all(kAlways), {Phase::kDecode});
        CHECK(identical(dots, decoded));
        CHECK(identical(decoded, products(kernels, {&weights.view}, x, n, all(kSeldom), {Phase::kDecode})));
        n_that_differ += !identical(tiles, dots);
        KernelThresholds at_n, above_n;
        at_n.set_tile_columns(format, static_cast<int>(n));
        above_n.set_tile_columns(format, static_cast<int>(n) + 1);
        CHECK(identical(products(kernels, {&weights.view}, x, n, at_n), tiles));
        CHECK(identical(products(kernels, {&weights.view}, x, n, above_n), dots));
        CHECK(identical(products(kernels, {&weights.view}, x, n, all(kAlways), {Phase::kPrefill, false, &two}), tiles));
      }
    }
    CHECK(n_that_differ > 0);
  }
}

TEST(formats_of_one_call_have_thresholds_of_their_own) {
  const TestMatrix a(QuantFormat::kQ4_K, 256, 40, 1), b(QuantFormat::kF16, 256, 33, 2), c(QuantFormat::kQ8_0, 256, 7, 3);
  const std::vector<const Matrix*> matrices{&a.view, &b.view, &c.view};
  for (int64_t n : {2, 5, 13}) {
    const std::vector<float> x = Random(7).vector(256 * n);
    for (const std::string& level : fast_levels()) {
      const KernelTable& kernels = cpu_backend_at(level).kernels();
      for (int which = 0; which < 8; ++which) {
        KernelThresholds thresholds;
        std::vector<float> expected(static_cast<size_t>(n * 80));
        int64_t first = 0;
        for (size_t i = 0; i < 3; ++i) {
          const int columns = (which >> i & 1) != 0 ? kAlways : kSeldom;
          thresholds.set_tile_columns(matrices[i]->format, columns);
          const auto alone = products(kernels, {matrices[i]}, x, n, all(columns));
          for (int64_t t = 0; t < n; ++t) std::copy_n(alone.begin() + t * matrices[i]->n_out, matrices[i]->n_out, expected.begin() + t * 80 + first);
          first += matrices[i]->n_out;
        }
        CHECK(identical(products(kernels, matrices, x, n, thresholds), expected));
      }
    }
  }
}

TEST(heads_are_right_on_either_side_of_a_threshold) {
  for (QuantFormat format : kFormats) {
    const TestMatrix heads(format, 256, 40, 5, 3);
    for (int64_t n : {1, 4, 9}) {
      const std::vector<float> x = Random(6).vector(n * 3 * 256);
      const auto run = [&](const KernelTable& kernels, int columns) {
        Scratch scratch;
        const KernelThresholds thresholds = all(columns);
        KernelContext context = context_of(scratch, thresholds, {});
        std::vector<float> y(static_cast<size_t>(n * 3 * 40));
        kernels.matmul_heads(context, heads.view, x.data(), n, 3 * 256, 256, y.data(), 3 * 40, 40);
        return y;
      };
      const auto expected = run(reference_backend().kernels(), kAlways);
      for (const std::string& level : fast_levels())
        for (int columns : {kAlways, kSeldom})
          check_below(label(format, level, n), nmse(run(cpu_backend_at(level).kernels(), columns), expected), is_float(format) ? kFloatNmse : kCodesNmse);
    }
  }
}

TEST(mixtures_are_right_whichever_of_their_matrices_use_tiles) {
  constexpr double kFfnNmse = 4 * kCodesNmse;
  ThreadPool three(3);
  const Mixture mixtures[] = {{QuantFormat::kQ4_K, QuantFormat::kQ6_K, QuantFormat::kQ8_0, 4, 33},
                              {QuantFormat::kQ5_K, QuantFormat::kF16, QuantFormat::kBF16, 3, 20},
                              {QuantFormat::kF32, QuantFormat::kQ4_K, QuantFormat::kMXFP4, 5, 41},
                              {QuantFormat::kQ4_0, QuantFormat::kQ4_1, QuantFormat::kIQ4_NL, 1, 200}};
  for (const Mixture& mixture : mixtures) {
    const auto expected = mixture.run(reference_backend().kernels(), all(kAlways));
    for (const std::string& level : fast_levels()) {
      const KernelTable& kernels = cpu_backend_at(level).kernels();
      for (int which = 0; which < 8; ++which)
        for (int columns : {2, 3, kSeldom}) {
          KernelThresholds thresholds = all(kAlways);
          if ((which & 1) != 0) thresholds.set_tile_columns(mixture.gate.view.format, columns);
          if ((which & 2) != 0) thresholds.set_tile_columns(mixture.up.view.format, columns);
          if ((which & 4) != 0) thresholds.set_tile_columns(mixture.down.view.format, columns);
          const auto y = mixture.run(kernels, thresholds);
          check_below(label(mixture.gate.view.format, level, which), nmse(y, expected), kFfnNmse);
          CHECK(identical(mixture.run(kernels, thresholds, {Phase::kPrefill, false, &three}), y));
        }
    }
  }
}

TEST(exact_products_ask_no_thresholds) {
  const Mixture mixture(QuantFormat::kQ4_K, QuantFormat::kF16, QuantFormat::kQ6_K, 4, 33);
  for (const std::string& level : fast_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    for (QuantFormat format : kFormats) {
      const TestMatrix weights(format, 256, 40, 3);
      for (int64_t n = 1; n <= 8; ++n) {
        const std::vector<float> x = Random(5).vector(256 * n);
        const auto usual = products(kernels, {&weights.view}, x, n, KernelThresholds(), {Phase::kPrefill, true});
        for (int columns : {kAlways, kSeldom})
          CHECK(identical(products(kernels, {&weights.view}, x, n, all(columns), {Phase::kPrefill, true}), usual));
      }
    }
    CHECK(identical(mixture.run(kernels, all(kAlways), {Phase::kPrefill, true}), mixture.run(kernels, all(kSeldom), {Phase::kPrefill, true})));
  }
}
