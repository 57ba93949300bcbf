// kernels_bench [filter] [threads]: decode in GB/s of weights and prefill in GOP/s, per
// format and level, with the share of the measured peak. Random weights: speed only.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/page_buffer.h"
#include "kernels/backend.h"
#include "machine_peaks.h"
#include "quant/quant_format.h"

namespace {

using namespace moebius;
using namespace moebius::bench;

struct Setup {
  std::string filter;
  ThreadPool pool;
  Peaks peaks;
  Setup(std::string wanted, int n_threads) : filter(std::move(wanted)), pool(n_threads) {}
};

// Weight bytes: random, with every 16-bit field a positive half of ordinary size, or (for
// formats with one-byte scales) every byte such a scale: denormals would slow things.
PageBuffer random_weights(size_t bytes, bool byte_scales = false) {
  PageBuffer buffer(bytes);
  std::mt19937 random(1);
  auto* words = buffer.as<uint32_t>();
  for (size_t i = 0; i < bytes / 4; ++i) {
    const auto bits = static_cast<uint32_t>(random());
    words[i] = byte_scales ? (bits & 0x1f1f1f1f) | 0x60606060 : (bits & 0x0fff0fff) | 0x20002000;
  }
  return buffer;
}

// Best of a few short runs.
template <typename Body>
double best_seconds(int n_threads, const Body& body) {
  double best = 1e9, total = 0;
  for (int i = 0; i < 12 && total < 0.4; ++i) {
    const Stopwatch watch(n_threads);
    body();
    const double took = watch.seconds();
    total += took;
    best = std::min(best, took);
  }
  return best;
}

KernelContext make_context(Setup& setup, Scratch& scratch, Phase phase) {
  KernelContext context;
  context.pool = &setup.pool;
  context.scratch = &scratch;
  context.phase = phase;
  return context;
}

void bench_matmul(Setup& setup, const char* level, const QuantFormatInfo& info, int64_t n_tokens) {
  const int64_t n_in = 2048;
  Matrix weights;
  weights.format = info.format;
  weights.n_in = n_in;
  weights.row_bytes = quant_row_bytes(info.format, n_in);
  // Decode reads more than the caches hold, whatever the format.
  const int64_t n_out = n_tokens > 8 ? 4096 : (int64_t{128} << 20) / static_cast<int64_t>(weights.row_bytes) / 32 * 32;
  weights.n_out = n_out;
  weights.matrix_stride = weights.row_bytes * static_cast<size_t>(n_out);
  static PageBuffer halves = random_weights(size_t{65536} * 2048 * 4), bytes_only = random_weights(size_t{65536} * 2048, true);
  const bool byte_scales = info.format == QuantFormat::kMXFP4 || info.format == QuantFormat::kNVFP4;
  weights.data = byte_scales ? bytes_only.data() : halves.data();
  std::vector<float> x(static_cast<size_t>(n_in * n_tokens)), y(static_cast<size_t>(n_out * n_tokens));
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  Scratch scratch;
  KernelContext context = make_context(setup, scratch, n_tokens > 8 ? Phase::kPrefill : Phase::kDecode);
  const MatmulJob job{weights, nullptr, y.data(), n_out};
  const KernelTable& kernels = cpu_backend_at(level).kernels();
  const double took = best_seconds(setup.pool.size(), [&] { kernels.matmul(context, x.data(), n_tokens, n_in, &job, 1); });
  const double bytes = static_cast<double>(weights.matrix_stride) / took, ops = 2.0 * n_in * n_out * n_tokens / took;
  const bool is_float = info.block_elements == 1;
  const double peak = is_float ? setup.peaks.f32 : setup.peaks.int8;
  std::printf("matmul %-8s %-12s tokens %4d: %7.1f GB/s (%3.0f%%)  %7.1f GOP/s (%3.0f%%)\n", info.name, level, static_cast<int>(n_tokens),
              bytes / 1e9, 100 * bytes / setup.peaks.bytes, ops / 1e9, 100 * ops / peak);
}

struct MoeShape {
  const char* name;
  int64_t d, ff, n_experts, n_active, shared_ff;
  QuantFormat gate_up, down;
};

Matrix stack(const PageBuffer& buffer, size_t& used, QuantFormat format, int64_t n_in, int64_t n_out, int64_t n) {
  Matrix m;
  m.format = format;
  m.n_in = n_in;
  m.n_out = n_out;
  m.n_matrices = n;
  m.row_bytes = quant_row_bytes(format, n_in);
  m.matrix_stride = m.row_bytes * static_cast<size_t>(n_out);
  m.data = buffer.as<uint8_t>() + used;
  used += (m.matrix_stride * static_cast<size_t>(n) + 63) / 64 * 64;
  return m;
}

void bench_moe(Setup& setup, const char* level, const MoeShape& shape, int64_t n_tokens) {
  static PageBuffer buffer = random_weights(size_t{1} << 30);
  size_t used = 0;
  MoeFfn moe;
  moe.experts.gate_proj = stack(buffer, used, shape.gate_up, shape.d, shape.ff, shape.n_experts);
  moe.experts.up_proj = stack(buffer, used, shape.gate_up, shape.d, shape.ff, shape.n_experts);
  moe.experts.down_proj = stack(buffer, used, shape.down, shape.ff, shape.d, shape.n_experts);
  moe.has_shared_expert = true;
  moe.shared_expert.gate_proj = stack(buffer, used, shape.gate_up, shape.d, shape.shared_ff, 1);
  moe.shared_expert.up_proj = stack(buffer, used, shape.gate_up, shape.d, shape.shared_ff, 1);
  moe.shared_expert.down_proj = stack(buffer, used, shape.down, shape.shared_ff, shape.d, 1);
  moe.n_active_experts = shape.n_active;
  if (used > buffer.size()) return;
  std::vector<float> x(static_cast<size_t>(shape.d * n_tokens)), y(x.size()), weights(static_cast<size_t>(n_tokens * shape.n_active), 0.2f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  std::vector<int32_t> ids;
  std::mt19937 random(3);
  const auto choose = [&] {
    ids.clear();
    for (int64_t t = 0; t < n_tokens; ++t) {
      std::vector<int32_t> all(static_cast<size_t>(shape.n_experts));
      for (size_t e = 0; e < all.size(); ++e) all[e] = static_cast<int32_t>(e);
      for (int64_t i = 0; i < shape.n_active; ++i) {
        std::swap(all[static_cast<size_t>(i)], all[static_cast<size_t>(i) + random() % (all.size() - static_cast<size_t>(i))]);
        ids.push_back(all[static_cast<size_t>(i)]);
      }
    }
  };
  Scratch scratch;
  KernelContext context = make_context(setup, scratch, n_tokens > 8 ? Phase::kPrefill : Phase::kDecode);
  const KernelTable& kernels = cpu_backend_at(level).kernels();
  // Decode takes other experts every time, or the caches would answer.
  double best = 1e9;
  for (int i = 0; i < (n_tokens > 8 ? 4 : 60); ++i) {
    choose();
    const Stopwatch watch(setup.pool.size());
    kernels.moe_ffn(context, moe, x.data(), n_tokens, ids.data(), weights.data(), y.data());
    best = std::min(best, watch.seconds());
  }
  const double per_expert = static_cast<double>(2 * moe.experts.gate_proj.matrix_stride + moe.experts.down_proj.matrix_stride);
  const double shared_bytes = static_cast<double>(2 * moe.shared_expert.gate_proj.matrix_stride + moe.shared_expert.down_proj.matrix_stride);
  const double active = 6.0 * shape.d * (shape.ff * shape.n_active + shape.shared_ff);
  const double bytes = (per_expert * shape.n_active + shared_bytes) / best, ops = active * n_tokens / best;
  if (n_tokens == 1) {
    std::printf("moe %-12s %-10s tokens %4d: %8.3f ms  %7.1f GB/s (%3.0f%%)\n", shape.name, level, 1, best * 1e3, bytes / 1e9, 100 * bytes / setup.peaks.bytes);
  } else {
    std::printf("moe %-12s %-10s tokens %4d: %8.3f ms  %7.1f GOP/s (%3.0f%%)\n", shape.name, level, static_cast<int>(n_tokens), best * 1e3, ops / 1e9, 100 * ops / setup.peaks.int8);
  }
}

void print_attention(const Setup& setup, const char* name, const char* level, int64_t rows, int64_t keys, double seconds, double flops) {
  std::printf("%s %-10s rows %4d keys %5d: %8.3f ms  %7.1f GFLOP/s (%3.0f%% of f32)\n", name, level, static_cast<int>(rows), static_cast<int>(keys),
              seconds * 1e3, flops / seconds / 1e9, 100 * flops / seconds / setup.peaks.f32);
}

// 16 heads of DeepSeek-V2-Lite's size; rows at the end of `keys` cached positions.
void bench_mla(Setup& setup, const char* level, int64_t rows, int64_t keys) {
  MlaShape shape;
  shape.n_heads = 16;
  shape.kv_lora_rank = 512;
  shape.qk_nope_head_dim = 128;
  shape.qk_rope_head_dim = 64;
  shape.v_head_dim = 128;
  shape.scale = 0.1f;
  shape.row_bytes = cache_row_bytes(CacheFormat::kF16, 576);
  static PageBuffer buffer = random_weights(size_t{64} << 20);
  size_t used = 0;
  const Matrix k_b = stack(buffer, used, QuantFormat::kQ8_0, 128, 512, 16), v_b = stack(buffer, used, QuantFormat::kQ8_0, 512, 128, 16);
  const AttentionSpan span{0, rows, keys - rows, buffer.as<uint8_t>() + used, nullptr};
  std::vector<float> q(static_cast<size_t>(rows * 16 * 576)), out(q.size());
  for (size_t i = 0; i < q.size(); ++i) q[i] = std::sin(static_cast<float>(i));
  Scratch scratch;
  KernelContext context = make_context(setup, scratch, rows > 8 ? Phase::kPrefill : Phase::kDecode);
  const KernelTable& kernels = cpu_backend_at(level).kernels();
  const double pairs = static_cast<double>(rows) * static_cast<double>(keys - rows) + 0.5 * static_cast<double>(rows * rows);
  if (rows > 8) {
    const double took = best_seconds(setup.pool.size(), [&] { kernels.mla_expanded_attention(context, shape, k_b, v_b, q.data(), &span, 1, out.data()); });
    print_attention(setup, "mla expanded", level, rows, keys, took, 16 * (2.0 * 320 * pairs + 2.0 * 131072 * keys));
  } else {
    const double took = best_seconds(setup.pool.size(), [&] { kernels.mla_absorbed_attention(context, shape, q.data(), q.data(), &span, 1, out.data()); });
    print_attention(setup, "mla absorbed", level, rows, keys, took, 16 * 2.0 * 1088 * pairs);
  }
}

// 32 heads of 128 sharing 4 kv heads.
void bench_gqa(Setup& setup, const char* level, int64_t rows, int64_t keys) {
  GqaShape shape;
  shape.n_heads = 32;
  shape.n_kv_heads = 4;
  shape.key_dim = shape.value_dim = 128;
  shape.scale = 0.1f;
  shape.key_row_bytes = shape.value_row_bytes = cache_row_bytes(CacheFormat::kF16, 512);
  static PageBuffer buffer = random_weights(size_t{64} << 20);
  const AttentionSpan span{0, rows, keys - rows, buffer.as<uint8_t>(), buffer.as<uint8_t>() + (size_t{32} << 20)};
  std::vector<float> q(static_cast<size_t>(rows * 32 * 128)), out(q.size());
  for (size_t i = 0; i < q.size(); ++i) q[i] = std::sin(static_cast<float>(i));
  Scratch scratch;
  KernelContext context = make_context(setup, scratch, rows > 8 ? Phase::kPrefill : Phase::kDecode);
  const double pairs = static_cast<double>(rows) * static_cast<double>(keys - rows) + 0.5 * static_cast<double>(rows * rows);
  const double took = best_seconds(setup.pool.size(), [&] { cpu_backend_at(level).kernels().gqa_attention(context, shape, q.data(), &span, 1, out.data()); });
  print_attention(setup, "gqa", level, rows, keys, took, 32 * 2.0 * 256 * pairs);
}

bool wanted(const Setup& setup, const std::string& name) { return name.find(setup.filter) != std::string::npos; }

}  // namespace

int main(int argc, char** argv) {
  Setup setup(argc > 1 ? argv[1] : "", argc > 2 ? std::atoi(argv[2]) : 0);
  const int n = setup.pool.size();
  setup.peaks = measure_peaks(setup.pool, cpu_backend().level());
  std::printf("%d threads: read %.1f GB/s, int8 %.0f GOP/s, f32 %.0f GFLOP/s\n", n, setup.peaks.bytes / 1e9, setup.peaks.int8 / 1e9, setup.peaks.f32 / 1e9);
  std::vector<std::string> levels = cpu_levels();
  levels.erase(levels.begin());
  const MoeShape shapes[] = {
      {"v2-lite", 2048, 1408, 64, 6, 2816, QuantFormat::kQ4_K, QuantFormat::kQ8_0},
      {"v3-like", 2048, 512, 128, 8, 512, QuantFormat::kQ4_K, QuantFormat::kQ4_K},
  };
  for (const std::string& level : levels) {
    for (const QuantFormatInfo* info = quant_formats_begin(); info != quant_formats_end(); ++info) {
      if (info->dequantize_row == nullptr) continue;
      for (int64_t n_tokens : {1, 4, 48, 512})
        if (wanted(setup, "matmul " + std::string(info->name) + " " + level + " " + std::to_string(n_tokens) + ".")) bench_matmul(setup, level.c_str(), *info, n_tokens);
    }
    for (const auto& [rows, keys] : {std::pair<int64_t, int64_t>{1, 1024}, {1, 8192}, {512, 512}, {512, 2048}}) {
      if (wanted(setup, "mla " + level + " " + std::to_string(rows) + ".")) bench_mla(setup, level.c_str(), rows, keys);
      if (wanted(setup, "gqa " + level + " " + std::to_string(rows) + ".")) bench_gqa(setup, level.c_str(), rows, keys);
    }
    for (const MoeShape& shape : shapes)
      for (int64_t n_tokens : {1, 512})
        if (wanted(setup, "moe " + std::string(shape.name) + " " + level + " " + std::to_string(n_tokens) + ".")) bench_moe(setup, level.c_str(), shape, n_tokens);
  }
  return 0;
}
