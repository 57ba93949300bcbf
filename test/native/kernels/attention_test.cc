// Attention of every level against the plain loops: histories around the tile and split
// sizes, windows, sinks, soft caps, every cache format; absorbed = expanded; rows of a
// batch equal the row alone; thread counts change nothing.
#include "kernels/cache_format.h"
#include "native/kernels/kernel_cases.h"

namespace {

using namespace moebius;
using namespace moebius::test;

constexpr CacheFormat kCacheFormats[] = {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kBF16, CacheFormat::kQ8_0};

std::vector<uint8_t> make_cache(CacheFormat format, int64_t n_rows, int64_t n, uint32_t seed) {
  const size_t row_bytes = cache_row_bytes(format, n);
  std::vector<uint8_t> bytes(row_bytes * static_cast<size_t>(n_rows));
  const std::vector<float> rows = Random(seed).vector(n_rows * n);
  KernelContext context;
  cpu_backend().kernels().store_cache_rows(context, rows.data(), n_rows, n, n, format, bytes.data(), row_bytes);
  return bytes;
}

struct Call {
  Phase phase = Phase::kDecode;
  ThreadPool* pool = nullptr;
  bool exact = false;
  bool bf16 = false;
};

struct GqaCase {
  GqaShape shape;
  int64_t n_past, n_rows;
  std::vector<uint8_t> keys, values;
  std::vector<float> q;

  GqaCase(int64_t n_heads, int64_t n_kv_heads, int64_t key_dim, int64_t value_dim, CacheFormat format, int64_t past, int64_t rows)
      : n_past(past), n_rows(rows) {
    shape.n_heads = n_heads;
    shape.n_kv_heads = n_kv_heads;
    shape.key_dim = key_dim;
    shape.value_dim = value_dim;
    shape.scale = 1.0f / std::sqrt(static_cast<float>(key_dim));
    shape.cache_format = format;
    shape.key_row_bytes = cache_row_bytes(format, n_kv_heads * key_dim);
    shape.value_row_bytes = cache_row_bytes(format, n_kv_heads * value_dim);
    keys = make_cache(format, past + rows, n_kv_heads * key_dim, 1);
    values = make_cache(format, past + rows, n_kv_heads * value_dim, 2);
    q = Random(3).vector(rows * n_heads * key_dim, 2.0f);
  }
  // Rows [first, first + count) as a span of their own.
  std::vector<float> run(const KernelTable& kernels, const Call& call = {}, int64_t first = 0, int64_t count = -1) const {
    Scratch scratch;
    KernelContext context;
    context.scratch = &scratch;
    context.phase = call.phase;
    context.pool = call.pool;
    context.exact = call.exact;
    context.bf16_attention = call.bf16;
    if (count < 0) count = n_rows - first;
    const AttentionSpan span{0, count, n_past + first, keys.data(), values.data()};
    std::vector<float> out(static_cast<size_t>(count * shape.n_heads * shape.value_dim), -1.0f);
    kernels.gqa_attention(context, shape, q.data() + first * shape.n_heads * shape.key_dim, &span, 1, out.data());
    return out;
  }
};

void check_gqa(const std::string& what, const GqaCase& c) {
  const auto expected = c.run(reference_backend().kernels());
  for (const std::string& level : fast_levels())
    for (Phase phase : {Phase::kDecode, Phase::kPrefill})
      check_below(what + " " + level + " past " + std::to_string(c.n_past) + " rows " + std::to_string(c.n_rows),
                  nmse(c.run(cpu_backend_at(level).kernels(), {phase}), expected), kFloatNmse);
}

struct MlaCase {
  MlaShape shape;
  int64_t n_past, n_rows;
  TestMatrix k_b, v_b;
  std::vector<uint8_t> rows;
  std::vector<float> q;  // [n_rows, n_heads, nope + rope]

  MlaCase(int64_t n_heads, int64_t rank, int64_t nope, int64_t rope, int64_t value_dim, CacheFormat format, QuantFormat weights,
          int64_t past, int64_t n)
      : n_past(past), n_rows(n), k_b(weights, nope, rank, 5, n_heads), v_b(weights, rank, value_dim, 6, n_heads) {
    shape.n_heads = n_heads;
    shape.kv_lora_rank = rank;
    shape.qk_nope_head_dim = nope;
    shape.qk_rope_head_dim = rope;
    shape.v_head_dim = value_dim;
    shape.scale = 0.02f;
    shape.cache_format = format;
    shape.row_bytes = cache_row_bytes(format, rank + rope);
    rows = make_cache(format, past + n, rank + rope, 7);
    q = Random(8).vector(n * n_heads * (nope + rope));
  }
  AttentionSpan span() const { return {0, n_rows, n_past, rows.data(), nullptr}; }

  std::vector<float> expanded(const KernelTable& kernels, const Call& call = {}) const {
    Scratch scratch;
    KernelContext context;
    context.scratch = &scratch;
    context.phase = call.phase;
    context.pool = call.pool;
    context.exact = call.exact;
    context.bf16_attention = call.bf16;
    const AttentionSpan one = span();
    std::vector<float> out(static_cast<size_t>(n_rows * shape.n_heads * shape.v_head_dim), -1.0f);
    kernels.mla_expanded_attention(context, shape, k_b.view, v_b.view, q.data(), &one, 1, out.data());
    return out;
  }
  // Absorption, attention in latent space, and the way back; rows [first, first + count).
  std::vector<float> absorbed(const KernelTable& kernels, const Call& call = {}, int64_t first = 0, int64_t count = -1) const {
    Scratch scratch;
    KernelContext context;
    context.scratch = &scratch;
    context.phase = call.phase;
    context.pool = call.pool;
    context.exact = true;  // the projections, whatever the attention between them does
    if (count < 0) count = n_rows - first;
    const int64_t h = shape.n_heads, head_dim = shape.qk_nope_head_dim + shape.qk_rope_head_dim, rank = shape.kv_lora_rank;
    std::vector<float> latent(static_cast<size_t>(count * h * rank)), rope, out_latent(latent.size()), out(static_cast<size_t>(count * h * shape.v_head_dim));
    const float* from = q.data() + first * h * head_dim;
    kernels.matmul_heads(context, k_b.view, from, count, h * head_dim, head_dim, latent.data(), h * rank, rank);
    for (int64_t i = 0; i < count * h; ++i)
      rope.insert(rope.end(), from + i * head_dim + shape.qk_nope_head_dim, from + (i + 1) * head_dim);
    const AttentionSpan one{0, count, n_past + first, rows.data(), nullptr};
    context.exact = call.exact;
    context.bf16_attention = call.bf16;
    kernels.mla_absorbed_attention(context, shape, latent.data(), rope.data(), &one, 1, out_latent.data());
    context.exact = true;
    kernels.matmul_heads(context, v_b.view, out_latent.data(), count, h * rank, rank, out.data(), h * shape.v_head_dim, shape.v_head_dim);
    return out;
  }
};

std::vector<std::string> bf16_levels() {
  std::vector<std::string> levels;
  for (const std::string& level : fast_levels())
    if (cpu_backend_at(level).has_bf16_attention()) levels.push_back(level);
  return levels;
}

// Eight bits of mantissa leave a relative error of up to 2^-9 in every operand. The lower limit
// shows that the operands were rounded.
void check_rounded(const std::string& what, const std::vector<float>& actual, const std::vector<float>& expected) {
  const double error = nmse(actual, expected);
  check_below(what, error, 4e-5);
  check_below(what + " not rounded", 1e-8, error);
}

}  // namespace

TEST(gqa_matches_the_plain_loops_for_every_history) {
  for (int64_t past : {0, 1, 30, 31, 32, 63, 64, 65, 255, 256, 1000})
    for (int64_t rows : {1, 2, 33}) check_gqa("gqa", GqaCase(8, 2, 64, 64, CacheFormat::kF16, past, rows));
}

TEST(gqa_reads_every_cache_format_and_head_size) {
  for (CacheFormat format : kCacheFormats) {
    check_gqa("format", GqaCase(4, 4, 128, 128, format, 70, 3));
    check_gqa("format odd", GqaCase(6, 2, 80, 48, format, 40, 5));
    check_gqa("format tiny", GqaCase(3, 1, 12, 20, format, 33, 2));
    check_gqa("format wide", GqaCase(2, 1, 256, 256, format, 10, 40));
  }
}

TEST(gqa_windows_sinks_and_soft_caps) {
  for (int64_t window : {1, 5, 31, 32, 33, 128})
    for (int64_t past : {0, 31, 200, 600}) {
      GqaCase c(4, 2, 32, 32, CacheFormat::kF32, past, 37);
      c.shape.window = window;
      check_gqa("window " + std::to_string(window), c);
    }
  const std::vector<float> sinks = {-2, 0, 3, 8};
  GqaCase sunk(4, 2, 32, 32, CacheFormat::kF32, 300, 5);
  sunk.shape.sinks = sinks.data();
  check_gqa("sinks", sunk);
  sunk.shape.window = 16;
  check_gqa("sinks in a window", sunk);
  GqaCase capped(4, 2, 32, 32, CacheFormat::kF32, 100, 5);
  capped.shape.score_softcap = 2.5f;
  check_gqa("softcap", capped);
}

TEST(a_window_ends_where_it_should) {
  // One head, values that name their key: with window n the oldest visible key is p - n + 1.
  GqaCase c(1, 1, 32, 32, CacheFormat::kF32, 63, 1);
  std::fill(c.q.begin(), c.q.end(), 0.0f);
  for (int64_t key = 0; key < 64; ++key)
    for (int64_t i = 0; i < 32; ++i) reinterpret_cast<float*>(c.values.data() + static_cast<size_t>(key) * c.shape.value_row_bytes)[i] = static_cast<float>(key);
  for (int64_t window : {1, 4, 32, 33}) {
    c.shape.window = window;
    for (const std::string& level : fast_levels())
      CHECK_NEAR(c.run(cpu_backend_at(level).kernels())[0], 63 - static_cast<double>(window - 1) / 2, 1e-4);
  }
}

TEST(attention_rows_do_not_depend_on_their_batch_nor_on_threads) {
  ThreadPool two(2), three(3);
  for (int64_t window : {0, 40}) {
    GqaCase c(8, 2, 64, 64, CacheFormat::kF16, 250, 9);
    c.shape.window = window;
    const MlaCase mla(8, 64, 32, 16, 32, CacheFormat::kQ8_0, QuantFormat::kF32, 250, 9);
    for (const std::string& level : fast_levels()) {
      const KernelTable& kernels = cpu_backend_at(level).kernels();
      const auto batch = c.run(kernels), latent = mla.absorbed(kernels);
      for (int64_t r = 0; r < 9; ++r) {
        const auto width = static_cast<int64_t>(batch.size()) / 9, mla_width = static_cast<int64_t>(latent.size()) / 9;
        CHECK(identical(c.run(kernels, {}, r, 1), std::vector<float>(batch.begin() + r * width, batch.begin() + (r + 1) * width)));
        CHECK(identical(mla.absorbed(kernels, {}, r, 1), std::vector<float>(latent.begin() + r * mla_width, latent.begin() + (r + 1) * mla_width)));
      }
      for (ThreadPool* pool : {&two, &three}) {
        CHECK(identical(c.run(kernels, {Phase::kDecode, pool}), batch));
        CHECK(identical(c.run(kernels, {Phase::kPrefill, pool}), c.run(kernels, {Phase::kPrefill})));
        CHECK(identical(mla.absorbed(kernels, {Phase::kDecode, pool}), latent));
        CHECK(identical(mla.expanded(kernels, {Phase::kPrefill, pool}), mla.expanded(kernels, {Phase::kPrefill})));
      }
    }
  }
}

TEST(long_histories_are_added_up_alike_by_all_threads) {
  // Rows on both sides of the 32nd and 33rd split, with and without splits that a window hides.
  ThreadPool two(2), five(5);
  const MlaCase mla(4, 64, 32, 32, 32, CacheFormat::kF16, QuantFormat::kF32, 4094, 4);
  for (int64_t window : {0, 1000}) {
    GqaCase c(4, 2, 32, 32, CacheFormat::kF16, 4094, 4);
    c.shape.window = window;
    check_gqa("long", c);
    for (const std::string& level : fast_levels()) {
      const KernelTable& kernels = cpu_backend_at(level).kernels();
      const auto batch = c.run(kernels), latent = mla.absorbed(kernels);
      check_below("long absorbed " + level, nmse(latent, mla.expanded(reference_backend().kernels())), kFloatNmse);
      for (ThreadPool* pool : {&two, &five})
        for (int repeat = 0; repeat < 5; ++repeat) {
          CHECK(identical(c.run(kernels, {Phase::kDecode, pool}), batch));
          CHECK(identical(mla.absorbed(kernels, {Phase::kDecode, pool}), latent));
        }
      for (int64_t r = 0; r < 4; ++r) {
        const auto width = static_cast<int64_t>(batch.size()) / 4, mla_width = static_cast<int64_t>(latent.size()) / 4;
        CHECK(identical(c.run(kernels, {}, r, 1), std::vector<float>(batch.begin() + r * width, batch.begin() + (r + 1) * width)));
        CHECK(identical(mla.absorbed(kernels, {}, r, 1), std::vector<float>(latent.begin() + r * mla_width, latent.begin() + (r + 1) * mla_width)));
      }
    }
  }
}

TEST(absorbed_and_expanded_mla_match_the_plain_loops) {
  for (CacheFormat format : kCacheFormats) {
    for (int64_t past : {0, 1, 63, 64, 65, 1000}) {
      for (int64_t rows : {1, 5}) {
        const MlaCase c(4, 64, 32, 16, 48, format, QuantFormat::kF32, past, rows);
        const auto expected = c.expanded(reference_backend().kernels());
        check_below("reference absorbed", nmse(c.absorbed(reference_backend().kernels()), expected), kExactNmse);
        for (const std::string& level : fast_levels()) {
          const KernelTable& kernels = cpu_backend_at(level).kernels();
          for (Phase phase : {Phase::kDecode, Phase::kPrefill}) {
            check_below("absorbed " + level, nmse(c.absorbed(kernels, {phase}), expected), kFloatNmse);
            check_below("expanded " + level, nmse(c.expanded(kernels, {phase}), expected), kFloatNmse);
          }
        }
      }
    }
  }
}

TEST(mla_of_real_head_sizes_and_quantised_projections) {
  for (QuantFormat weights : {QuantFormat::kQ8_0, QuantFormat::kQ4_0}) {
    MlaCase c(3, 512, 128, 64, 128, CacheFormat::kF16, weights, 20, 100);
    // Scores of a standard deviation near 2, as real models have: a sharper softmax would
    // multiply the rounding of the keys.
    c.shape.scale = 0.005f;
    const auto expected = c.expanded(reference_backend().kernels());
    for (const std::string& level : fast_levels()) {
      const KernelTable& kernels = cpu_backend_at(level).kernels();
      check_below("expanded " + level, nmse(c.expanded(kernels, {Phase::kPrefill}), expected), kCodesNmse);
      check_below("expanded exactly " + level, nmse(c.expanded(kernels, {Phase::kPrefill, nullptr, /*exact=*/true}), expected), kFloatNmse);
      check_below("absorbed " + level, nmse(c.absorbed(kernels), expected), kFloatNmse);
    }
  }
}

TEST(spans_of_several_sequences_share_one_call) {
  const GqaCase a(4, 2, 32, 32, CacheFormat::kF16, 10, 3), b(4, 2, 32, 32, CacheFormat::kF16, 0, 4);
  std::vector<float> q = a.q;
  q.insert(q.end(), b.q.begin(), b.q.end());
  const AttentionSpan spans[] = {{0, 3, 10, a.keys.data(), a.values.data()}, {3, 4, 0, b.keys.data(), b.values.data()}};
  for (const std::string& level : fast_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    KernelContext context;
    std::vector<float> out(7 * 4 * 32), expected = a.run(kernels);
    kernels.gqa_attention(context, a.shape, q.data(), spans, 2, out.data());
    const auto second = b.run(kernels);
    expected.insert(expected.end(), second.begin(), second.end());
    CHECK(identical(out, expected));
  }
}

TEST(prefill_attention_in_bfloat16_rounds_its_operands_and_nothing_else) {
  const Call call{Phase::kPrefill, nullptr, /*exact=*/false, /*bf16=*/true};
  for (const std::string& level : bf16_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    for (CacheFormat format : kCacheFormats)
      for (int64_t past : {0, 1, 31, 64, 65, 1000}) {
        const std::string what = level + " past " + std::to_string(past);
        const GqaCase gqa(8, 2, 64, 96, format, past, 7), odd(6, 2, 79, 48, format == CacheFormat::kQ8_0 ? CacheFormat::kF16 : format, past, 7);
        for (const GqaCase* c : {&gqa, &odd}) check_rounded("gqa " + what, c->run(kernels, call), c->run(reference_backend().kernels()));
        const MlaCase mla(4, 64, 32, 16, 48, format, QuantFormat::kF32, past, 7), uneven(3, 48, 21, 16, 40, format, QuantFormat::kF32, past, 7);
        for (const MlaCase* c : {&mla, &uneven}) {
          const auto expected = c->expanded(reference_backend().kernels());
          check_rounded("absorbed " + what, c->absorbed(kernels, call), expected);
          check_rounded("expanded " + what, c->expanded(kernels, call), expected);
        }
      }
  }
}

TEST(attention_in_bfloat16_respects_windows_sinks_and_soft_caps) {
  const std::vector<float> sinks = {-2, 0, 3, 8};
  for (const std::string& level : bf16_levels())
    for (int64_t window : {0, 1, 33})
      for (float softcap : {0.0f, 2.5f}) {
        GqaCase c(4, 2, 32, 32, CacheFormat::kF16, 200, 37);
        c.shape.window = window;
        c.shape.score_softcap = softcap;
        c.shape.sinks = sinks.data();
        check_rounded(level, c.run(cpu_backend_at(level).kernels(), {Phase::kPrefill, nullptr, false, true}), c.run(reference_backend().kernels()));
      }
}

TEST(attention_in_bfloat16_does_not_depend_on_threads) {
  ThreadPool two(2), three(3);
  const GqaCase c(8, 2, 64, 64, CacheFormat::kF16, 250, 9);
  const MlaCase mla(8, 64, 32, 16, 32, CacheFormat::kQ8_0, QuantFormat::kQ8_0, 250, 9);
  for (const std::string& level : bf16_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    const Call alone{Phase::kPrefill, nullptr, false, true};
    for (ThreadPool* pool : {&two, &three}) {
      const Call shared{Phase::kPrefill, pool, false, true};
      CHECK(identical(c.run(kernels, shared), c.run(kernels, alone)));
      CHECK(identical(mla.absorbed(kernels, shared), mla.absorbed(kernels, alone)));
      CHECK(identical(mla.expanded(kernels, shared), mla.expanded(kernels, alone)));
    }
  }
}

TEST(decode_exact_mode_and_levels_without_bfloat16_dots_do_not_round) {
  const GqaCase c(8, 2, 64, 64, CacheFormat::kF16, 100, 5);
  const MlaCase mla(4, 64, 32, 16, 48, CacheFormat::kF16, QuantFormat::kF32, 100, 5);
  for (const std::string& level : fast_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    for (bool exact : {false, true})
      for (Phase phase : {Phase::kDecode, Phase::kPrefill}) {
        if (phase == Phase::kPrefill && !exact && cpu_backend_at(level).has_bf16_attention()) continue;
        const Call with{phase, nullptr, exact, true}, without{phase, nullptr, exact, false};
        CHECK(identical(c.run(kernels, with), c.run(kernels, without)));
        CHECK(identical(mla.absorbed(kernels, with), mla.absorbed(kernels, without)));
        CHECK(identical(mla.expanded(kernels, with), mla.expanded(kernels, without)));
      }
  }
}

TEST(workers_share_the_heads_of_a_long_history) {
  ThreadPool two(2), five(5);
  const MlaCase c(1, 64, 32, 16, 48, CacheFormat::kF16, QuantFormat::kQ8_0, 1500, 9);
  const auto expected = c.expanded(reference_backend().kernels());
  for (const std::string& level : fast_levels()) {
    const KernelTable& kernels = cpu_backend_at(level).kernels();
    const auto alone = c.expanded(kernels, {Phase::kPrefill});
    check_below("expanded " + level, nmse(alone, expected), kCodesNmse);
    for (ThreadPool* pool : {&two, &five}) CHECK(identical(c.expanded(kernels, {Phase::kPrefill, pool}), alone));
  }
}
