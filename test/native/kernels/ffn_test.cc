// The fused SwiGLU blocks against the plain loops: dense, mixtures with shared experts,
// biases, empty slots, mixed formats; rows are independent of their batch in decode.
#include "native/kernels/kernel_cases.h"

namespace {

using namespace moebius;
using namespace moebius::test;

struct FfnMatrices {
  TestMatrix gate, up, down;
  FfnMatrices(QuantFormat gate_up, QuantFormat down_format, int64_t d, int64_t ff, int64_t n, uint32_t seed)
      : gate(gate_up, d, ff, seed, n), up(gate_up, d, ff, seed + 1, n), down(down_format, ff, d, seed + 2, n) {}
  FfnWeights weights() const {
    FfnWeights w;
    w.gate_proj = gate.view;
    w.up_proj = up.view;
    w.down_proj = down.view;
    return w;
  }
};

struct MoeCase {
  MoeFfn moe;
  int64_t n_tokens = 0, d = 0;
  std::vector<float> x, routing_weights;
  std::vector<int32_t> ids;

  std::vector<float> run(const KernelTable& kernels, Phase phase, bool exact = false, ThreadPool* pool = nullptr,
                         int64_t first = 0, int64_t count = -1) const {
    Scratch scratch;
    KernelContext context;
    context.scratch = &scratch;
    context.phase = phase;
    context.exact = exact;
    context.pool = pool;
    if (count < 0) count = n_tokens - first;
    std::vector<float> y(static_cast<size_t>(count * d), -1.0f);
    kernels.moe_ffn(context, moe, x.data() + first * d, count, ids.data() + first * moe.n_active_experts,
                    routing_weights.data() + first * moe.n_active_experts, y.data());
    return y;
  }
};

MoeCase make_case(const FfnMatrices& experts, const FfnMatrices* shared, int64_t n_active, int64_t n_tokens, uint32_t seed) {
  MoeCase c;
  c.moe.experts = experts.weights();
  c.moe.n_active_experts = n_active;
  if (shared != nullptr) {
    c.moe.has_shared_expert = true;
    c.moe.shared_expert = shared->weights();
  }
  c.n_tokens = n_tokens;
  c.d = experts.gate.view.n_in;
  Random random(seed);
  c.x = random.vector(n_tokens * c.d, 0.5f);
  const auto n_experts = static_cast<int>(experts.gate.view.n_matrices);
  for (int64_t t = 0; t < n_tokens; ++t) {
    const int start = random.below(n_experts), step = 1 + random.below(2);
    for (int64_t i = 0; i < n_active; ++i) {
      c.ids.push_back((start + static_cast<int>(i) * step) % n_experts);
      c.routing_weights.push_back(0.1f + std::fabs(random.normal()));
    }
  }
  return c;
}

void check_case(const std::string& what, const MoeCase& c, double limit) {
  const auto expected = c.run(reference_backend().kernels(), Phase::kDecode);
  for (const std::string& level : fast_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    check_below(what + " decode " + level, nmse(c.run(kernels, Phase::kDecode), expected), limit);
    check_below(what + " prefill " + level, nmse(c.run(kernels, Phase::kPrefill), expected), limit);
    check_below(what + " exact " + level, nmse(c.run(kernels, Phase::kDecode, true), expected), kExactNmse);
    check_below(what + " exact prefill " + level, nmse(c.run(kernels, Phase::kPrefill, true), expected), kExactNmse);
  }
}

// Two roundings to int8 in a row, and the product of two rounded factors in between.
constexpr double kFfnNmse = 4 * kCodesNmse;

}  // namespace

TEST(mixtures_match_the_plain_loops) {
  for (int64_t n_tokens : {1, 3, 9, 70}) {
    const FfnMatrices plain(QuantFormat::kF32, QuantFormat::kF32, 40, 23, 6, 1), plain_shared(QuantFormat::kF32, QuantFormat::kF32, 40, 50, 1, 9);
    check_case("float", make_case(plain, &plain_shared, 3, n_tokens, 4), kFloatNmse);
    const FfnMatrices mixed(QuantFormat::kQ4_K, QuantFormat::kQ8_0, 256, 96, 6, 1), mixed_shared(QuantFormat::kQ4_K, QuantFormat::kQ6_K, 256, 256, 1, 9);
    check_case("Q4_K/Q8_0", make_case(mixed, &mixed_shared, 2, n_tokens, 5), kFfnNmse);
    const FfnMatrices half(QuantFormat::kQ8_0, QuantFormat::kF16, 64, 33, 4, 1);
    check_case("Q8_0/F16", make_case(half, nullptr, 2, n_tokens, 6), kFfnNmse);
    const FfnMatrices odd(QuantFormat::kF16, QuantFormat::kQ4_0, 61, 96, 4, 1);
    check_case("F16/Q4_0", make_case(odd, nullptr, 2, n_tokens, 7), kFfnNmse);
    const FfnMatrices wide(QuantFormat::kQ4_K, QuantFormat::kQ6_K, 512, 512, 8, 1), wide_shared(QuantFormat::kQ5_K, QuantFormat::kQ5_0, 512, 352, 1, 9);
    check_case("Q4_K/Q6_K", make_case(wide, &wide_shared, 2, n_tokens, 8), kFfnNmse);
  }
}

TEST(biases_activations_empty_slots_and_the_shared_router) {
  const FfnMatrices experts(QuantFormat::kMXFP4, QuantFormat::kMXFP4, 96, 64, 5, 31), shared(QuantFormat::kQ8_0, QuantFormat::kQ8_0, 96, 32, 1, 41);
  const auto gate_bias = Random(1).vector(5 * 64), up_bias = Random(2).vector(5 * 64), down_bias = Random(3).vector(5 * 96);
  const auto router = Random(4).vector(96, 0.2f);
  for (Activation activation : {Activation::kSilu, Activation::kGeluTanh, Activation::kSwigluOai}) {
    for (int64_t n_tokens : {2, 40}) {
      MoeCase c = make_case(experts, &shared, 3, n_tokens, 50);
      c.moe.experts.activation = c.moe.shared_expert.activation = activation;
      c.moe.experts.gate_bias = gate_bias.data();
      c.moe.experts.up_bias = up_bias.data();
      c.moe.experts.down_bias = down_bias.data();
      c.moe.shared_expert_router = router.data();
      c.ids[1] = -1;
      c.ids[c.ids.size() - 1] = -1;
      check_case("biases", c, kFfnNmse);
    }
  }
}

TEST(decode_rows_do_not_depend_on_their_batch_nor_on_threads) {
  ThreadPool two(2), three(3);
  const FfnMatrices experts(QuantFormat::kQ4_K, QuantFormat::kQ8_0, 256, 160, 6, 1), shared(QuantFormat::kQ6_K, QuantFormat::kQ5_0, 256, 64, 1, 9);
  const MoeCase c = make_case(experts, &shared, 2, 19, 5), large = make_case(experts, &shared, 2, 90, 6);
  for (const std::string& level : fast_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    const auto batch = c.run(kernels, Phase::kDecode);
    for (int64_t t = 0; t < c.n_tokens; ++t) {
      const std::vector<float> row(batch.begin() + t * c.d, batch.begin() + (t + 1) * c.d);
      CHECK(identical(c.run(kernels, Phase::kDecode, false, nullptr, t, 1), row));
    }
    CHECK(identical(c.run(kernels, Phase::kDecode, false, &two), batch));
    CHECK(identical(c.run(kernels, Phase::kDecode, false, &three), batch));
    const auto prefill = large.run(kernels, Phase::kPrefill);
    CHECK(identical(large.run(kernels, Phase::kPrefill, false, &two), prefill));
    CHECK(identical(large.run(kernels, Phase::kPrefill, false, &three), prefill));
  }
}

TEST(a_dense_block_matches_the_plain_loops) {
  for (QuantFormat format : {QuantFormat::kF32, QuantFormat::kBF16, QuantFormat::kQ4_K, QuantFormat::kIQ4_XS}) {
    const FfnMatrices matrices(format, format, 256, 512, 1, 3);
    for (int64_t n_tokens : {1, 7, 50}) {
      const std::vector<float> x = Random(5).vector(n_tokens * 256, 0.5f);
      const auto run = [&](const KernelTable& kernels, Phase phase) {
        KernelContext context;
        context.phase = phase;
        std::vector<float> y(x.size());
        kernels.dense_ffn(context, matrices.weights(), x.data(), n_tokens, y.data());
        return y;
      };
      const auto expected = run(reference_backend().kernels(), Phase::kDecode);
      for (const std::string& level : fast_levels())
        for (Phase phase : {Phase::kDecode, Phase::kPrefill})
          check_below("dense " + level, nmse(run(cpu_backend_at(level).kernels(), phase), expected), is_float(format) ? kFloatNmse : kFfnNmse);
    }
  }
}
