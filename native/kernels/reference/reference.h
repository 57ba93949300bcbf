// Plain loops for every slot of the KernelTable: the oracle of all other backends, never
// optimised. Sums are f64, elements f32, weights come from the format's scalar decoder.
// Same names and argument order as the slots in kernels/kernels.h.
#pragma once

#include <vector>

#include "kernels/kernels.h"

namespace moebius::reference {

// Row `index` of a single matrix as f32, matrix scale included.
void dequantize_matrix_row(const Matrix& weights, int64_t index, std::vector<float>& row);
double dot(const float* a, const float* b, int64_t n);

void matmul(KernelContext&, const float* x, int64_t n_tokens, int64_t x_stride,
            const MatmulJob* jobs, int64_t n_jobs);
void matmul_heads(KernelContext&, const Matrix& weights, const float* x, int64_t n_tokens,
                  int64_t x_token_stride, int64_t x_head_stride, float* y, int64_t y_token_stride,
                  int64_t y_head_stride);
void gather_rows(KernelContext&, const Matrix& table, const int32_t* ids, int64_t n, float scale,
                 float* y);

void dense_ffn(KernelContext&, const FfnWeights&, const float* x, int64_t n_tokens, float* y);
void moe_ffn(KernelContext&, const MoeFfn&, const float* x, int64_t n_tokens,
             const int32_t* expert_ids, const float* routing_weights, float* y);

void rms_norm(KernelContext&, const float* x, int64_t n_rows, int64_t n, int64_t x_stride,
              const float* weight, float eps, float* y, int64_t y_stride);
void rope(KernelContext&, float* x, int64_t n_tokens, int64_t n_heads, int64_t token_stride,
          int64_t head_stride, int64_t n_rot, const float* cos, const float* sin,
          RopePairing pairing);
void add(KernelContext&, float* y, const float* x, int64_t n);

void store_cache_rows(KernelContext&, const float* src, int64_t n_rows, int64_t n,
                      int64_t src_stride, CacheFormat format, void* dst, size_t dst_row_bytes);
void load_cache_rows(KernelContext&, const void* src, size_t src_row_bytes, int64_t n_rows,
                     int64_t n, CacheFormat format, float* dst, int64_t dst_stride);

void gqa_attention(KernelContext&, const GqaShape&, const float* q, const AttentionSpan* spans,
                   int64_t n_spans, float* out);
void mla_absorbed_attention(KernelContext&, const MlaShape&, const float* q_latent,
                            const float* q_rope, const AttentionSpan* spans, int64_t n_spans,
                            float* out_latent);
void mla_expanded_attention(KernelContext&, const MlaShape&, const Matrix& k_b, const Matrix& v_b,
                            const float* q, const AttentionSpan* spans, int64_t n_spans,
                            float* out);

int64_t select_experts(KernelContext&, const RouterRule&, const float* logits, int64_t n_tokens,
                       int32_t* expert_ids, float* routing_weights, float* selection_scores);

}  // namespace moebius::reference
