// Which rows go through which SwiGLU block of one call: (token, slot) pairs sorted by expert
// with a stable counting sort, then every token once more for the shared expert. A dense
// block is one group of all tokens.
#pragma once

#include "kernels/cpu/step.h"

namespace moebius::cpu {

struct FfnGroup {
  FfnWeights weights;   // single matrices
  int64_t first = 0;    // pairs [first, first + count)
  int64_t count = 0;
  int32_t expert = -1;  // routed expert; -1: dense or shared
};

struct FfnPlan {
  FfnGroup* groups = nullptr;  // only groups with pairs
  int64_t n_groups = 0;
  int64_t n_pairs = 0;
  int32_t* tokens = nullptr;   // [n_pairs] input row of each pair
  int64_t n_tokens = 0;
  int64_t n_slots = 0;         // output slots per token, the shared expert's last
  int32_t* slot_pairs = nullptr;    // [n_tokens, n_slots] pair of each slot, -1 = empty
  const float* slot_weights = nullptr;  // [n_tokens, n_slots]
  int64_t n_in = 0, n_ff = 0, n_out = 0;  // n_ff: the widest group
};

FfnPlan plan_dense_ffn(StepScratch&, const FfnWeights&, int64_t n_tokens);
FfnPlan plan_moe_ffn(StepScratch&, const MoeFfn&, const float* x, int64_t n_tokens,
                     const int32_t* expert_ids, const float* routing_weights);

}  // namespace moebius::cpu
