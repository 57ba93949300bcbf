// kernels_instructions: runs each main kernel on a fixed shape, once, on one thread, at
// level avx2 (what valgrind can run). Under callgrind it dumps the instructions of each case;
// the name of the dump says the case and its weights or multiply-adds. Speed is not measured:
// the count is the same on every machine, and so is a gate that compares it.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/page_buffer.h"
#include "kernels/backend.h"
#include "quant/quant_format.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) static_cast<void>(name)
#define MOEBIUS_NO_CALLGRIND
#endif

namespace {

using namespace moebius;

constexpr int kNothingToCountWith = 77;

struct Bench {
  ThreadPool pool{1};
  Scratch scratch;
  const KernelTable& kernels = cpu_backend_at("avx2").kernels();
};

std::vector<float> waves(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  return values;
}

// Bytes of a fixed generator; as halves they are small numbers, so that nothing is a NaN.
PageBuffer fixed_weights(size_t bytes) {
  PageBuffer buffer(bytes);
  auto* words = buffer.as<uint32_t>();
  uint32_t state = 1;
  for (size_t i = 0; i < bytes / 4; ++i) {
    state = state * 1664525u + 1013904223u;
    words[i] = (state ^ state >> 16) & 0x2fff2fff;
  }
  return buffer;
}

KernelContext context_of(Bench& bench, Phase phase) {
  KernelContext context;
  context.pool = &bench.pool;
  context.scratch = &bench.scratch;
  context.phase = phase;
  return context;
}

// The first run touches memory and tables; the second is counted.
template <typename Body>
void count(Bench& bench, const std::string& name, const char* unit, int64_t n_units, const Body& body) {
  body();
  bench.scratch.reset();
  CALLGRIND_ZERO_STATS;
  CALLGRIND_TOGGLE_COLLECT;
  body();
  CALLGRIND_TOGGLE_COLLECT;
  const std::string label = name + "|" + unit + "|" + std::to_string(n_units);
  CALLGRIND_DUMP_STATS_AT(label.c_str());
  bench.scratch.reset();
  std::printf("%s\n", label.c_str());
}

void matmul_case(Bench& bench, const char* format_name, int64_t n_tokens) {
  const bool prefill = n_tokens > 8;
  const QuantFormat format = find_quant_format(format_name)->format;
  Matrix weights;
  weights.format = format;
  weights.n_in = 2048;
  weights.n_out = 256;
  weights.row_bytes = quant_row_bytes(format, weights.n_in);
  weights.matrix_stride = weights.row_bytes * static_cast<size_t>(weights.n_out);
  const PageBuffer bytes = fixed_weights(weights.matrix_stride);
  weights.data = bytes.data();
  const std::vector<float> x = waves(weights.n_in * n_tokens);
  std::vector<float> y(static_cast<size_t>(weights.n_out * n_tokens));
  const MatmulJob job{weights, nullptr, y.data(), weights.n_out};
  const int64_t n_weights = weights.n_in * weights.n_out;
  count(bench, std::string(prefill ? "prefill " : "decode ") + format_name, prefill ? "multiply-add" : "weight",
        prefill ? n_weights * n_tokens : n_weights, [&] {
          KernelContext context = context_of(bench, prefill ? Phase::kPrefill : Phase::kDecode);
          bench.kernels.matmul(context, x.data(), n_tokens, weights.n_in, &job, 1);
        });
}

constexpr int64_t kPast = 511;  // the new row's position: 512 keys are seen

// A cache row of each position, stored by the kernel that stores them.
PageBuffer cache_rows(Bench& bench, int64_t n, size_t row_bytes) {
  PageBuffer rows(row_bytes * (kPast + 1));
  const std::vector<float> values = waves(n * (kPast + 1));
  KernelContext context = context_of(bench, Phase::kDecode);
  bench.kernels.store_cache_rows(context, values.data(), kPast + 1, n, n, CacheFormat::kF16, rows.data(), row_bytes);
  return rows;
}

void mla_case(Bench& bench) {
  MlaShape shape;
  shape.n_heads = 16;
  shape.kv_lora_rank = 512;
  shape.qk_nope_head_dim = shape.v_head_dim = 128;
  shape.qk_rope_head_dim = 64;
  shape.scale = 0.07f;
  const int64_t row = shape.kv_lora_rank + shape.qk_rope_head_dim;
  shape.row_bytes = cache_row_bytes(shape.cache_format, row);
  const PageBuffer rows = cache_rows(bench, row, shape.row_bytes);
  const std::vector<float> q_latent = waves(shape.n_heads * shape.kv_lora_rank), q_rope = waves(shape.n_heads * shape.qk_rope_head_dim);
  std::vector<float> out(q_latent.size());
  const AttentionSpan span{0, 1, kPast, rows.data(), nullptr};
  count(bench, "mla absorbed attention", "multiply-add", shape.n_heads * (row + shape.kv_lora_rank) * (kPast + 1), [&] {
    KernelContext context = context_of(bench, Phase::kDecode);
    bench.kernels.mla_absorbed_attention(context, shape, q_latent.data(), q_rope.data(), &span, 1, out.data());
  });
}

void gqa_case(Bench& bench) {
  GqaShape shape;
  shape.n_heads = 32;
  shape.n_kv_heads = 8;
  shape.key_dim = shape.value_dim = 128;
  shape.scale = 0.088f;
  const int64_t row = shape.n_kv_heads * shape.key_dim;
  shape.key_row_bytes = shape.value_row_bytes = cache_row_bytes(shape.cache_format, row);
  const PageBuffer keys = cache_rows(bench, row, shape.key_row_bytes), values = cache_rows(bench, row, shape.value_row_bytes);
  const std::vector<float> q = waves(shape.n_heads * shape.key_dim);
  std::vector<float> out(q.size());
  const AttentionSpan span{0, 1, kPast, keys.data(), values.data()};
  count(bench, "gqa attention", "multiply-add", shape.n_heads * (shape.key_dim + shape.value_dim) * (kPast + 1), [&] {
    KernelContext context = context_of(bench, Phase::kDecode);
    bench.kernels.gqa_attention(context, shape, q.data(), &span, 1, out.data());
  });
}

void moe_case(Bench& bench) {
  const int64_t d = 1024, ff = 512, n_experts = 8, n_active = 2;
  const QuantFormat format = QuantFormat::kQ4_K;
  const auto stacked = [&](int64_t n_in, int64_t n_out, const PageBuffer& bytes) {
    Matrix matrix;
    matrix.format = format;
    matrix.n_in = n_in;
    matrix.n_out = n_out;
    matrix.n_matrices = n_experts;
    matrix.row_bytes = quant_row_bytes(format, n_in);
    matrix.matrix_stride = matrix.row_bytes * static_cast<size_t>(n_out);
    matrix.data = bytes.data();
    return matrix;
  };
  const PageBuffer bytes = fixed_weights(quant_row_bytes(format, d) * static_cast<size_t>(ff * n_experts));
  MoeFfn moe;
  moe.experts.gate_proj = moe.experts.up_proj = stacked(d, ff, bytes);
  moe.experts.down_proj = stacked(ff, d, bytes);
  moe.n_active_experts = n_active;
  const std::vector<float> x = waves(d);
  std::vector<float> y(x.size());
  const int32_t ids[] = {5, 2};
  const float routing_weights[] = {0.6f, 0.4f};
  count(bench, "moe decode Q4_K", "weight", 3 * d * ff * n_active, [&] {
    KernelContext context = context_of(bench, Phase::kDecode);
    bench.kernels.moe_ffn(context, moe, x.data(), 1, ids, routing_weights, y.data());
  });
}

}  // namespace

int main() {
#ifdef MOEBIUS_NO_CALLGRIND
  std::fprintf(stderr, "built without valgrind/callgrind.h\n");
  return kNothingToCountWith;
#else
  try {
    Bench bench;
    // Another compiler makes other instructions: the stored values say whose they are.
#if defined(__clang__)
    std::printf("compiler|clang %d\n", __clang_major__);
#else
    std::printf("compiler|gcc %d.%d\n", __GNUC__, __GNUC_MINOR__);
#endif
    for (const char* format : {"Q4_K", "Q6_K", "Q8_0", "IQ4_XS", "IQ3_S", "IQ2_XXS", "IQ1_S", "NVFP4", "F16"}) matmul_case(bench, format, 1);
    for (const char* format : {"Q4_K", "Q8_0", "Q2_K"}) matmul_case(bench, format, 48);
    moe_case(bench);
    mla_case(bench);
    gqa_case(bench);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.code() == ErrorCode::kUnsupported ? kNothingToCountWith : 1;
  }
  return 0;
#endif
}
