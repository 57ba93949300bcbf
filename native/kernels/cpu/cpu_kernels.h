// The CPU kernels: one orchestration for all instruction set levels. Same names and
// argument order as the slots of KernelTable, with the level's leaf functions in front.
#pragma once

#include "kernels/cpu/level_ops.h"

namespace moebius::cpu {

void matmul(const LevelOps&, KernelContext&, const float* x, int64_t n_tokens, int64_t x_stride,
            const MatmulJob* jobs, int64_t n_jobs);
void matmul_heads(const LevelOps&, KernelContext&, const Matrix& weights, const float* x,
                  int64_t n_tokens, int64_t x_token_stride, int64_t x_head_stride, float* y,
                  int64_t y_token_stride, int64_t y_head_stride);
void gather_rows(const LevelOps&, KernelContext&, const Matrix& table, const int32_t* ids,
                 int64_t n, float scale, float* y);

void dense_ffn(const LevelOps&, KernelContext&, const FfnWeights&, const float* x,
               int64_t n_tokens, float* y);
void moe_ffn(const LevelOps&, KernelContext&, const MoeFfn&, const float* x, int64_t n_tokens,
             const int32_t* expert_ids, const float* routing_weights, float* y);

void rms_norm(const LevelOps&, KernelContext&, const float* x, int64_t n_rows, int64_t n,
              int64_t x_stride, const float* weight, float eps, float* y, int64_t y_stride);
void rope(const LevelOps&, KernelContext&, float* x, int64_t n_tokens, int64_t n_heads,
          int64_t token_stride, int64_t head_stride, int64_t n_rot, const float* cos,
          const float* sin, RopePairing pairing);
void add(const LevelOps&, KernelContext&, float* y, const float* x, int64_t n);

void store_cache_rows(const LevelOps&, KernelContext&, const float* src, int64_t n_rows, int64_t n,
                      int64_t src_stride, CacheFormat format, void* dst, size_t dst_row_bytes);
void load_cache_rows(const LevelOps&, KernelContext&, const void* src, size_t src_row_bytes,
                     int64_t n_rows, int64_t n, CacheFormat format, float* dst, int64_t dst_stride);

void gqa_attention(const LevelOps&, KernelContext&, const GqaShape&, const float* q,
                   const AttentionSpan* spans, int64_t n_spans, float* out);
void mla_absorbed_attention(const LevelOps&, KernelContext&, const MlaShape&, const float* q_latent,
                            const float* q_rope, const AttentionSpan* spans, int64_t n_spans,
                            float* out_latent);
void mla_expanded_attention(const LevelOps&, KernelContext&, const MlaShape&, const Matrix& k_b,
                            const Matrix& v_b, const float* q, const AttentionSpan* spans,
                            int64_t n_spans, float* out);

int64_t select_experts(const LevelOps&, KernelContext&, const RouterRule&, const float* logits,
                       int64_t n_tokens, int32_t* expert_ids, float* routing_weights,
                       float* selection_scores);

}  // namespace moebius::cpu
