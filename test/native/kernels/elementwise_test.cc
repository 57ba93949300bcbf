// Norms, rotations, sums and cache rows of every level against the plain loops.
#include <limits>

#include "kernels/cache_format.h"
#include "native/kernels/kernel_cases.h"

namespace {

using namespace moebius;
using namespace moebius::test;

KernelContext& context() {
  static KernelContext shared;
  return shared;
}

}  // namespace

TEST(rms_norm_of_every_length_with_and_without_weight_and_in_place) {
  for (int64_t n = 1; n <= 70; ++n) {
    const std::vector<float> x = Random(static_cast<uint32_t>(n)).vector(3 * (n + 5) + 1), weight = Random(2).vector(n);
    for (const float* w : {weight.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> expected(static_cast<size_t>(3 * n));
      reference_backend().kernels().rms_norm(context(), x.data() + 1, 3, n, n + 5, w, 1e-5f, expected.data(), n);
      for (const std::string& level : fast_levels()) {
        std::vector<float> y(expected.size());
        cpu_backend_at(level).kernels().rms_norm(context(), x.data() + 1, 3, n, n + 5, w, 1e-5f, y.data(), n);
        check_below("rms_norm " + level, nmse(y, expected), kFloatNmse);
        std::vector<float> in_place = x;
        cpu_backend_at(level).kernels().rms_norm(context(), in_place.data() + 1, 1, n, n, w, 1e-5f, in_place.data() + 1, n);
        CHECK(std::memcmp(in_place.data() + 1, y.data(), static_cast<size_t>(n) * 4) == 0);
      }
    }
  }
}

TEST(rope_rotates_pairs_and_leaves_the_rest) {
  for (RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalfSplit})
    for (int64_t n_rot : {2, 8, 10, 64}) {
      const int64_t head = n_rot + 6, n_heads = 3, n_tokens = 5;
      const std::vector<float> x = Random(1).vector(n_tokens * n_heads * head), cos = Random(2).vector(n_tokens * n_rot / 2), sin = Random(3).vector(n_tokens * n_rot / 2);
      std::vector<float> expected = x;
      reference_backend().kernels().rope(context(), expected.data(), n_tokens, n_heads, n_heads * head, head, n_rot, cos.data(), sin.data(), pairing);
      CHECK_EQ(expected[static_cast<size_t>(n_rot)], x[static_cast<size_t>(n_rot)]);
      for (const std::string& level : fast_levels()) {
        std::vector<float> y = x;
        cpu_backend_at(level).kernels().rope(context(), y.data(), n_tokens, n_heads, n_heads * head, head, n_rot, cos.data(), sin.data(), pairing);
        check_below("rope " + level, nmse(y, expected), kFloatNmse);
      }
    }
  // A quarter turn by hand.
  const float cosine = 0, sine = 1;
  float pair[2] = {3, 4};
  cpu_backend().kernels().rope(context(), pair, 1, 1, 2, 2, 2, &cosine, &sine, RopePairing::kAdjacent);
  CHECK_EQ(pair[0], -4.0f);
  CHECK_EQ(pair[1], 3.0f);
}

TEST(add_of_every_length) {
  for (int64_t n = 0; n <= 70; ++n) {
    const std::vector<float> x = Random(1).vector(n + 1), y0 = Random(2).vector(n + 2);
    for (const std::string& level : fast_levels()) {
      std::vector<float> y = y0;
      cpu_backend_at(level).kernels().add(context(), y.data() + 1, x.data(), n);
      for (int64_t i = 0; i < n; ++i) CHECK_EQ(y[static_cast<size_t>(i + 1)], y0[static_cast<size_t>(i + 1)] + x[static_cast<size_t>(i)]);
      CHECK_EQ(y.back(), y0.back());
    }
  }
}

TEST(cache_rows_come_back_within_their_precision) {
  const double limits[] = {0, 1e-6, 1e-5, 3e-5};
  for (int f = 0; f < 4; ++f) {
    const auto format = static_cast<CacheFormat>(f);
    for (int64_t n : {1, 31, 32, 33, 576}) {
      const size_t row_bytes = cache_row_bytes(format, n);
      CHECK_EQ(row_bytes % 64, 0u);
      const std::vector<float> x = Random(4).vector(3 * n);
      std::vector<uint8_t> bytes(3 * row_bytes);
      for (const std::string& level : cpu_levels()) {
        const KernelTable& kernels = cpu_backend_at(level).kernels();
        kernels.store_cache_rows(context(), x.data(), 3, n, n, format, bytes.data(), row_bytes);
        std::vector<float> back(x.size());
        kernels.load_cache_rows(context(), bytes.data(), row_bytes, 3, n, format, back.data(), n);
        check_below("cache " + level, nmse(back, x), limits[f]);
      }
    }
  }
  CHECK_EQ(cache_row_bytes(CacheFormat::kF16, 576), 1152u);
  CHECK_EQ(cache_row_bytes(CacheFormat::kQ8_0, 576), 640u);
}

TEST(activations_saturate_without_nan) {
  // Extreme gates: silu and gelu reach 0 or the gate itself.
  const TestMatrix identity(QuantFormat::kF32, 4, 4, 1);
  std::vector<float> unit(16, 0.0f);
  for (size_t i = 0; i < 4; ++i) unit[i * 5] = 1;
  FfnWeights weights;
  weights.gate_proj = weights.up_proj = weights.down_proj = identity.view;
  weights.gate_proj.data = weights.up_proj.data = weights.down_proj.data = unit.data();
  const std::vector<float> x = {-200, 200, 1e4f, -1e4f};
  for (Activation activation : {Activation::kSilu, Activation::kGeluTanh, Activation::kSwigluOai}) {
    weights.activation = activation;
    std::vector<float> expected(4);
    reference_backend().kernels().dense_ffn(context(), weights, x.data(), 1, expected.data());
    for (const std::string& level : fast_levels()) {
      std::vector<float> y(4);
      cpu_backend_at(level).kernels().dense_ffn(context(), weights, x.data(), 1, y.data());
      for (size_t i = 0; i < 4; ++i) CHECK_NEAR(y[i], expected[i], 1e-5 * std::fabs(expected[i]) + 1e-20);
    }
  }
}

TEST(missing_backends_say_why) {
  for (Backend* backend : {&cuda_backend(), &metal_backend()}) {
    CHECK(!backend->available());
    CHECK(!backend->unavailable_reason().empty());
    CHECK_THROWS(std::exception, backend->unavailable_reason().c_str(), backend->kernels());
  }
  CHECK_THROWS(std::exception, "cannot run the instruction set level 'sse9'", cpu_backend_at("sse9"));
  CHECK_EQ(cpu_levels().front(), std::string("reference"));
  CHECK_EQ(backends().size(), 3u);
}
