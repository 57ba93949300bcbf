#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cache_format.h"
#include "kernels/reference/reference.h"

namespace moebius::reference {

namespace {

// Softmax in place; `sink` (may be -inf) joins the maximum and the denominator only.
void softmax(std::vector<double>& scores, double sink) {
  double highest = sink;
  for (double score : scores) highest = std::max(highest, score);
  double sum = std::isinf(sink) ? 0 : std::exp(sink - highest);
  for (double& score : scores) sum += score = std::exp(score - highest);
  for (double& score : scores) score /= sum;
}

std::vector<float> load_rows(const void* rows, size_t row_bytes, int64_t n_rows, int64_t n,
                             CacheFormat format) {
  std::vector<float> out(static_cast<size_t>(n_rows * n));
  for (int64_t r = 0; r < n_rows; ++r)
    load_cache_row(format, static_cast<const uint8_t*>(rows) + static_cast<size_t>(r) * row_bytes, n,
                   out.data() + r * n);
  return out;
}

// sum_key p[key] * values[first + key] for value rows `stride` apart.
void weighted_values(const std::vector<double>& p, const float* values, int64_t stride, int64_t n,
                     float* out) {
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (size_t key = 0; key < p.size(); ++key) sum += p[key] * values[static_cast<int64_t>(key) * stride + i];
    out[i] = static_cast<float>(sum);
  }
}

constexpr double kNoSink = -std::numeric_limits<double>::infinity();

}  // namespace

void gqa_attention(KernelContext&, const GqaShape& shape, const float* q,
                   const AttentionSpan* spans, int64_t n_spans, float* out) {
  const int64_t key_n = shape.n_kv_heads * shape.key_dim, value_n = shape.n_kv_heads * shape.value_dim;
  const int64_t heads_per_kv = shape.n_heads / shape.n_kv_heads;
  for (int64_t s = 0; s < n_spans; ++s) {
    const AttentionSpan& span = spans[s];
    const int64_t n_keys = span.n_past + span.n_rows;
    const auto keys = load_rows(span.key_rows, shape.key_row_bytes, n_keys, key_n, shape.cache_format);
    const auto values = load_rows(span.value_rows, shape.value_row_bytes, n_keys, value_n, shape.cache_format);
    for (int64_t r = 0; r < span.n_rows; ++r) {
      const int64_t position = span.n_past + r;
      const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
      for (int64_t h = 0; h < shape.n_heads; ++h) {
        const int64_t row = (span.first_row + r) * shape.n_heads + h, kv = h / heads_per_kv;
        std::vector<double> scores;
        for (int64_t key = first; key <= position; ++key) {
          double score = shape.scale * dot(q + row * shape.key_dim,
                                           keys.data() + key * key_n + kv * shape.key_dim, shape.key_dim);
          if (shape.score_softcap > 0) score = shape.score_softcap * std::tanh(score / shape.score_softcap);
          scores.push_back(score);
        }
        softmax(scores, shape.sinks != nullptr ? shape.sinks[h] : kNoSink);
        weighted_values(scores, values.data() + first * value_n + kv * shape.value_dim, value_n,
                        shape.value_dim, out + row * shape.value_dim);
      }
    }
  }
}

void mla_absorbed_attention(KernelContext&, const MlaShape& shape, const float* q_latent,
                            const float* q_rope, const AttentionSpan* spans, int64_t n_spans,
                            float* out_latent) {
  const int64_t rank = shape.kv_lora_rank, rope_dim = shape.qk_rope_head_dim, n = rank + rope_dim;
  for (int64_t s = 0; s < n_spans; ++s) {
    const AttentionSpan& span = spans[s];
    const auto keys = load_rows(span.key_rows, shape.row_bytes, span.n_past + span.n_rows, n, shape.cache_format);
    for (int64_t r = 0; r < span.n_rows; ++r) {
      for (int64_t h = 0; h < shape.n_heads; ++h) {
        const int64_t row = (span.first_row + r) * shape.n_heads + h;
        std::vector<double> scores;
        for (int64_t key = 0; key <= span.n_past + r; ++key)
          scores.push_back(shape.scale * (dot(q_latent + row * rank, keys.data() + key * n, rank) +
                                          dot(q_rope + row * rope_dim, keys.data() + key * n + rank, rope_dim)));
        softmax(scores, kNoSink);
        weighted_values(scores, keys.data(), n, rank, out_latent + row * rank);
      }
    }
  }
}

void mla_expanded_attention(KernelContext&, const MlaShape& shape, const Matrix& k_b,
                            const Matrix& v_b, const float* q, const AttentionSpan* spans,
                            int64_t n_spans, float* out) {
  const int64_t rank = shape.kv_lora_rank, rope_dim = shape.qk_rope_head_dim;
  const int64_t nope = shape.qk_nope_head_dim, value_dim = shape.v_head_dim, n = rank + rope_dim;
  std::vector<float> weights_row;
  for (int64_t s = 0; s < n_spans; ++s) {
    const AttentionSpan& span = spans[s];
    const int64_t n_keys = span.n_past + span.n_rows;
    const auto rows = load_rows(span.key_rows, shape.row_bytes, n_keys, n, shape.cache_format);
    for (int64_t h = 0; h < shape.n_heads; ++h) {
      std::vector<double> k_nope(static_cast<size_t>(n_keys * nope), 0.0);
      std::vector<float> values(static_cast<size_t>(n_keys * value_dim));
      const Matrix k_head = k_b.slice(h), v_head = v_b.slice(h);
      for (int64_t l = 0; l < rank; ++l) {
        dequantize_matrix_row(k_head, l, weights_row);
        for (int64_t key = 0; key < n_keys; ++key)
          for (int64_t i = 0; i < nope; ++i)
            k_nope[static_cast<size_t>(key * nope + i)] += static_cast<double>(weights_row[static_cast<size_t>(i)]) * rows[static_cast<size_t>(key * n + l)];
      }
      for (int64_t i = 0; i < value_dim; ++i) {
        dequantize_matrix_row(v_head, i, weights_row);
        for (int64_t key = 0; key < n_keys; ++key)
          values[static_cast<size_t>(key * value_dim + i)] = static_cast<float>(dot(weights_row.data(), rows.data() + key * n, rank));
      }
      for (int64_t r = 0; r < span.n_rows; ++r) {
        const int64_t row = (span.first_row + r) * shape.n_heads + h;
        const float* query = q + row * (nope + rope_dim);
        std::vector<double> scores;
        for (int64_t key = 0; key <= span.n_past + r; ++key) {
          double score = dot(query + nope, rows.data() + key * n + rank, rope_dim);
          for (int64_t i = 0; i < nope; ++i) score += query[i] * k_nope[static_cast<size_t>(key * nope + i)];
          scores.push_back(shape.scale * score);
        }
        softmax(scores, kNoSink);
        weighted_values(scores, values.data(), value_dim, value_dim, out + row * value_dim);
      }
    }
  }
}

}  // namespace moebius::reference
