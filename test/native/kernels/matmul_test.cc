// Products of every format at every level against the plain loops; rows of a batch are
// bit-identical to the same rows alone; thread counts change nothing.
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/level_ops.h"
#include "native/kernels/kernel_cases.h"

namespace {

using namespace moebius;
using namespace moebius::test;

struct Options {
  Phase phase = Phase::kDecode;
  bool exact = false;
  ThreadPool* pool = nullptr;
};

std::vector<float> product(const KernelTable& kernels, const Matrix& weights, const float* x, int64_t n_tokens,
                           const Options& options = {}, const float* bias = nullptr) {
  Scratch scratch;
  KernelContext context;
  context.scratch = &scratch;
  context.phase = options.phase;
  context.exact = options.exact;
  context.pool = options.pool;
  std::vector<float> y(static_cast<size_t>(n_tokens * weights.n_out), -1);
  const MatmulJob job{weights, bias, y.data(), weights.n_out};
  kernels.matmul(context, x, n_tokens, weights.n_in, &job, 1);
  return y;
}

double tolerance(QuantFormat format, bool exact) {
  return exact ? kExactNmse : is_float(format) ? kFloatNmse : kCodesNmse;
}

std::string label(const char* name, const std::string& level, int64_t n_in, int64_t n_tokens) {
  return std::string(name) + " " + level + " n_in " + std::to_string(n_in) + " tokens " + std::to_string(n_tokens);
}

void check_shapes(Phase phase, const std::vector<int64_t>& token_counts) {
  uint32_t seed = 1;
  for (const QuantFormatInfo* info : weight_formats()) {
    for (int64_t blocks : {1, 2, 7, 11}) {
      const int64_t n_in = info->block_elements * blocks, n_out = 37;
      const TestMatrix weights(info->format, n_in, n_out, ++seed);
      for (int64_t n_tokens : token_counts) {
        const std::vector<float> x = Random(++seed).vector(n_in * n_tokens);
        const std::vector<float> expected = product(reference_backend().kernels(), weights.view, x.data(), n_tokens);
        for (const std::string& level : fast_levels())
          for (bool exact : {false, true})
            check_below(label(info->name, level, n_in, n_tokens) + (exact ? " exact" : ""),
                        nmse(product(cpu_backend_at(level).kernels(), weights.view, x.data(), n_tokens, {phase, exact}), expected),
                        tolerance(info->format, exact));
      }
    }
  }
}

}  // namespace

TEST(reading_goes_on_where_the_worker_goes_on) {
  const std::vector<uint8_t> own(10000), other(10000);
  const cpu::WeightRows rows{own.data(), 1000, 10, 0, other.data()};
  const cpu::ReadAhead ahead = cpu::ReadAhead::of(rows);
  CHECK_EQ(ahead.distance(rows.row(5), 4096), int64_t{4096});
  CHECK(rows.row(6) + ahead.distance(rows.row(6), 4096) == other.data() + 96);
  CHECK(rows.row(9) + ahead.distance(rows.row(9), 4096) == other.data() + 3096);
  // Only the last part of a run knows what comes after it; without that the rows behind do.
  CHECK(rows.slice(2, 3).next == nullptr && rows.slice(2, 8).next == other.data());
  CHECK_EQ(cpu::ReadAhead::of(rows.slice(2, 3)).distance(rows.row(4), 4096), int64_t{4096});
}

TEST(products_of_every_format_match_the_plain_loops_in_decode) { check_shapes(Phase::kDecode, {1, 2, 3, 5, 8, 13}); }

TEST(products_of_every_format_match_the_plain_loops_in_prefill) { check_shapes(Phase::kPrefill, {1, 4, 33, 65}); }

TEST(the_largest_codes_meet_the_largest_activations_without_overflow) {
  for (const QuantFormatInfo* info : weight_formats()) {
    if (is_float(info->format)) continue;
    TestMatrix weights(info->format, 512, 33, 1);
    // All code bits set; the scales stay the valid ones of the random blocks.
    for (size_t at = 0; at < weights.bytes.size(); at += static_cast<size_t>(info->block_bytes)) {
      uint8_t* block = weights.bytes.data() + at;
      const std::vector<uint8_t> before(block, block + info->block_bytes);
      std::memset(block, 0xff, static_cast<size_t>(info->block_bytes));
      for (const int* field = half_fields(info->format); *field >= 0; ++field) put_half(block + *field, 0.01f);
      const int64_t kept = info->format == QuantFormat::kMXFP4 ? 1 : info->format == QuantFormat::kNVFP4 ? 4 : 0;
      std::copy_n(before.begin(), kept, block);
      if (info->format == QuantFormat::kIQ1_M) std::copy(before.begin() + 48, before.end(), block + 48);
    }
    for (float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(512 * 40, sign);
      const auto expected = product(reference_backend().kernels(), weights.view, x.data(), 40);
      for (const std::string& level : fast_levels())
        for (Phase phase : {Phase::kDecode, Phase::kPrefill})
          check_below(label(info->name, level, 512, 40), nmse(product(cpu_backend_at(level).kernels(), weights.view, x.data(), 40, {phase}), expected), kFloatNmse);
    }
  }
}

TEST(float_products_of_every_length) {
  for (QuantFormat format : {QuantFormat::kF32, QuantFormat::kF16, QuantFormat::kBF16}) {
    for (int64_t n_in = 1; n_in <= 67; ++n_in) {
      const TestMatrix weights(format, n_in, 3, static_cast<uint32_t>(n_in), 1, /*shift=*/2);
      const std::vector<float> x = Random(7).vector(n_in * 5 + 1);
      // A row of floats at 2 mod 4 is not a float row in C++: only the 16-bit formats shift.
      if (format == QuantFormat::kF32) continue;
      const auto expected = product(reference_backend().kernels(), weights.view, x.data() + 1, 5);
      for (const std::string& level : fast_levels())
        for (Phase phase : {Phase::kDecode, Phase::kPrefill})
          check_below(label("float", level, n_in, 5), nmse(product(cpu_backend_at(level).kernels(), weights.view, x.data() + 1, 5, {phase}), expected), kFloatNmse);
    }
    for (int64_t n_in = 1; n_in <= 67; ++n_in) {
      const TestMatrix weights(format, n_in, 35, static_cast<uint32_t>(n_in));
      const std::vector<float> x = Random(9).vector(n_in * 40);
      const auto expected = product(reference_backend().kernels(), weights.view, x.data(), 40);
      for (const std::string& level : fast_levels())
        check_below(label("float tiles", level, n_in, 40), nmse(product(cpu_backend_at(level).kernels(), weights.view, x.data(), 40, {Phase::kPrefill}), expected), kFloatNmse);
    }
  }
}

TEST(a_row_in_a_batch_equals_the_row_alone_bit_for_bit) {
  uint32_t seed = 100;
  for (const QuantFormatInfo* info : weight_formats()) {
    const int64_t n_in = info->block_elements * (info->block_elements == 1 ? 100 : 3), n_out = 19, n_tokens = 31;
    const TestMatrix weights(info->format, n_in, n_out, ++seed);
    const std::vector<float> x = Random(++seed).vector(n_in * n_tokens);
    for (const std::string& level : fast_levels()) {
      const KernelTable& kernels = cpu_backend_at(level).kernels();
      std::vector<float> alone;
      for (int64_t t = 0; t < n_tokens; ++t)
        for (float value : product(kernels, weights.view, x.data() + t * n_in, 1)) alone.push_back(value);
      for (int64_t batch = 2; batch <= n_tokens; ++batch) {
        const auto together = product(kernels, weights.view, x.data(), batch);
        const std::vector<float> expected(alone.begin(), alone.begin() + batch * n_out);
        if (!identical(together, expected)) {
          fail(info->name, 0, level + ": a row depends on the " + std::to_string(batch) + " rows of its batch");
          break;
        }
      }
    }
  }
}

// Rows longer than any segment of the row dots, whose last block is not whole where the format
// allows it, and a number of rows that leaves some over from every grouping.
TEST(long_rows_match_the_plain_loops_and_do_not_depend_on_their_batch) {
  uint32_t seed = 300;
  for (const QuantFormatInfo* info : weight_formats()) {
    if (is_float(info->format)) continue;
    const int64_t n_in = 256 * 67 + (info->block_elements < 256 ? 192 : 0), n_out = 21, n_tokens = 9;
    const TestMatrix weights(info->format, n_in, n_out, ++seed);
    const std::vector<float> x = Random(++seed).vector(n_in * n_tokens);
    const auto plain = product(reference_backend().kernels(), weights.view, x.data(), n_tokens);
    for (const std::string& level : fast_levels()) {
      const KernelTable& kernels = cpu_backend_at(level).kernels();
      std::vector<float> alone;
      for (int64_t t = 0; t < n_tokens; ++t)
        for (float value : product(kernels, weights.view, x.data() + t * n_in, 1)) alone.push_back(value);
      check_below(label(info->name, level, n_in, 1), nmse(alone, plain), tolerance(info->format, false));
      for (int64_t batch = 2; batch <= n_tokens; ++batch)
        CHECK(identical(product(kernels, weights.view, x.data(), batch), {alone.begin(), alone.begin() + batch * n_out}));
    }
  }
}

TEST(thread_counts_change_nothing) {
  ThreadPool two(2), three(3);
  for (QuantFormat format : {QuantFormat::kF16, QuantFormat::kQ8_0, QuantFormat::kQ4_K, QuantFormat::kQ6_K}) {
    const TestMatrix weights(format, 512, 301, 5);
    const std::vector<float> x = Random(6).vector(512 * 70);
    for (const std::string& level : fast_levels())
      for (Phase phase : {Phase::kDecode, Phase::kPrefill})
        for (int64_t n_tokens : {1, 70}) {
          const KernelTable& kernels = cpu_backend_at(level).kernels();
          const auto one = product(kernels, weights.view, x.data(), n_tokens, {phase});
          CHECK(identical(product(kernels, weights.view, x.data(), n_tokens, {phase, false, &two}), one));
          CHECK(identical(product(kernels, weights.view, x.data(), n_tokens, {phase, false, &three}), one));
        }
  }
}

TEST(several_jobs_share_one_input_with_bias_scale_and_stride) {
  const TestMatrix a(QuantFormat::kQ4_K, 256, 40, 1), b(QuantFormat::kF32, 256, 7, 2), c(QuantFormat::kNVFP4, 256, 33, 3);
  const std::vector<float> x = Random(4).vector(300 * 36), bias = Random(5).vector(40);
  const float scale = 0.37f;
  Matrix scaled = c.view;
  scaled.matrix_scales = &scale;
  const auto run = [&](const KernelTable& kernels, Phase phase) {
    KernelContext context;
    context.phase = phase;
    std::vector<float> y(36 * 100, 0.0f);
    const MatmulJob jobs[3] = {{a.view, bias.data(), y.data(), 100}, {b.view, nullptr, y.data() + 40, 100}, {scaled, nullptr, y.data() + 50, 100}};
    kernels.matmul(context, x.data(), 36, 300, jobs, 3);
    return y;
  };
  const auto expected = run(reference_backend().kernels(), Phase::kDecode);
  for (const std::string& level : fast_levels())
    for (Phase phase : {Phase::kDecode, Phase::kPrefill})
      check_below("jobs " + level, nmse(run(cpu_backend_at(level).kernels(), phase), expected), kCodesNmse);
}

TEST(products_per_head) {
  for (QuantFormat format : {QuantFormat::kF32, QuantFormat::kQ8_0, QuantFormat::kQ4_0}) {
    const int64_t n_heads = 3, n_in = 128, n_out = 41;
    const TestMatrix weights(format, n_in, n_out, 11, n_heads);
    for (int64_t n_tokens : {1, 5, 40}) {
      const std::vector<float> x = Random(12).vector(n_tokens * n_heads * 192);
      const auto run = [&](const KernelTable& kernels, Phase phase) {
        KernelContext context;
        context.phase = phase;
        std::vector<float> y(static_cast<size_t>(n_tokens * n_heads * n_out), 0.0f);
        kernels.matmul_heads(context, weights.view, x.data(), n_tokens, n_heads * 192, 192, y.data(), n_heads * n_out, n_out);
        return y;
      };
      const auto expected = run(reference_backend().kernels(), Phase::kDecode);
      for (const std::string& level : fast_levels())
        for (Phase phase : {Phase::kDecode, Phase::kPrefill})
          check_below("heads " + level, nmse(run(cpu_backend_at(level).kernels(), phase), expected), tolerance(format, false));
    }
  }
}

TEST(gathered_rows_are_decoded_and_scaled) {
  const int32_t ids[] = {3, 0, 8, 3};
  for (const QuantFormatInfo* info : weight_formats()) {
    const TestMatrix table(info->format, info->block_elements * 2, 9, 21);
    const auto run = [&](const KernelTable& kernels) {
      KernelContext context;
      std::vector<float> y(static_cast<size_t>(4 * table.view.n_in));
      kernels.gather_rows(context, table.view, ids, 4, 1.5f, y.data());
      return y;
    };
    CHECK(identical(run(cpu_backend().kernels()), run(reference_backend().kernels())));
  }
}

TEST(exact_float_products_have_the_same_bits_on_every_level) {
  uint32_t seed = 900;
  for (const QuantFormatInfo* info : weight_formats()) {
    if (!is_float(info->format)) continue;
    for (const int64_t n_in : {8, 100, 259, 512}) {
      const TestMatrix weights(info->format, n_in, 39, ++seed);
      const std::vector<float> x = Random(++seed).vector(n_in * 13);
      for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
        const auto exact = [&](const std::string& level) {
          return product(cpu_backend_at(level).kernels(), weights.view, x.data(), 13, {phase, /*exact=*/true});
        };
        const std::vector<float> expected = exact(fast_levels()[0]);
        for (const std::string& level : fast_levels()) CHECK(exact(level) == expected);
      }
    }
  }
}
