// The fused SwiGLU of decode: one job list over all experts (and the shared one) computes
// gate, up and the activation and rounds the result; a second list computes down_proj and
// sums the slots of each token in slot order. Two barriers a layer.
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/ffn_plan.h"
#include "kernels/cpu/step.h"

namespace moebius::cpu {

namespace {

constexpr int64_t kFfRows = 32;    // rows of gate and up in a job: one group of 32 each
constexpr int64_t kDownRows = 16;  // output elements in a job

class FfnStep {
 public:
  FfnStep(const LevelOps& ops, KernelContext& context, const FfnPlan& plan, const float* x, float* y)
      : ops_(ops), context_(context), scratch_(context), plan_(plan), y_(y) {
    inputs_ = {x, plan.n_in, nullptr, activation_blocks(plan.n_in)};
    bool code_inputs = false;
    for (int64_t g = 0; g < plan.n_groups; ++g) {
      const FfnWeights& weights = plan.groups[g].weights;
      code_inputs = code_inputs || uses_codes(context, weights.gate_proj.format) || uses_codes(context, weights.up_proj.format);
      code_hidden_ = code_hidden_ || uses_codes(context, weights.down_proj.format);
      float_hidden_ = float_hidden_ || !uses_codes(context, weights.down_proj.format);
    }
    if (code_inputs) inputs_.blocks = quantize_rows(ops, context, scratch_, x, plan.n_tokens, plan.n_in, plan.n_in);
    hidden_blocks_per_row_ = activation_blocks(plan.n_ff);
    if (code_hidden_) hidden_blocks_ = scratch_.take<ActivationBlock>(plan.n_pairs * hidden_blocks_per_row_);
    if (float_hidden_) hidden_ = scratch_.take<float>(plan.n_pairs * plan.n_ff);
    const int64_t n_workers = worker_count(context);
    buffer_elements_ = std::max(plan.n_in, plan.n_ff);
    row_buffers_ = scratch_.take<float>(n_workers * buffer_elements_);
    parts_ = scratch_.take<float>(n_workers * plan.n_pairs * kDownRows);
  }

  void run() {
    int64_t n_jobs = 0;
    for (int64_t g = 0; g < plan_.n_groups; ++g) n_jobs += ff_chunks(plan_.groups[g]);
    for_chunks(context_, n_jobs, 1, [this](int64_t begin, int64_t end, int worker) {
      for (int64_t job = begin; job < end; ++job) gate_up_job(job, worker);
    });
    const int64_t n_down = (plan_.n_out + kDownRows - 1) / kDownRows;
    for_chunks(context_, n_down, 1, [this](int64_t begin, int64_t end, int worker) {
      for (int64_t job = begin; job < end; ++job) down_job(job, worker);
    });
  }

 private:
  static int64_t ff_chunks(const FfnGroup& group) { return (group.weights.gate_proj.n_out + kFfRows - 1) / kFfRows; }

  void gate_up_job(int64_t job, int worker) {
    int64_t g = 0;
    while (job >= ff_chunks(plan_.groups[g])) job -= ff_chunks(plan_.groups[g++]);
    const FfnGroup& group = plan_.groups[g];
    const FfnWeights& weights = group.weights;
    const int64_t first = job * kFfRows, n_ff = weights.gate_proj.n_out, n_rows = std::min(kFfRows, n_ff - first);
    float* row_buffer = row_buffers_ + worker * buffer_elements_;
    const bool codes = uses_codes(context_, weights.down_proj.format);
    for (int64_t i = 0; i < group.count; i += kMaxColumns) {
      const int64_t count = std::min<int64_t>(kMaxColumns, group.count - i), pair = group.first + i;
      float gate[kMaxColumns * kFfRows], up[kMaxColumns * kFfRows];
      dot_columns(ops_, context_, weights.gate_proj, first, n_rows, inputs_, plan_.tokens + pair, count,
                  weights.gate_bias, row_buffer, gate, kFfRows);
      dot_columns(ops_, context_, weights.up_proj, first, n_rows, inputs_, plan_.tokens + pair, count,
                  weights.up_bias, row_buffer, up, kFfRows);
      for (int64_t c = 0; c < count; ++c) {
        float* activated = gate + c * kFfRows;
        ops_.activate(weights.activation, activated, up + c * kFfRows, n_rows, activated);
        store_hidden(pair + c, first, n_rows, n_ff, activated, codes);
      }
    }
  }

  // The last job of a row also clears the padding behind it.
  void store_hidden(int64_t pair, int64_t first, int64_t n_rows, int64_t n_ff, const float* values, bool codes) {
    if (!codes) {
      std::copy_n(values, n_rows, hidden_ + pair * plan_.n_ff + first);
      return;
    }
    const int64_t group = first / 32, n_groups = first + n_rows == n_ff ? activation_blocks(n_ff) * 8 - group : 1;
    ops_.quantize_groups(values, n_rows, group, n_groups, hidden_blocks_ + pair * hidden_blocks_per_row_);
  }

  void down_job(int64_t job, int worker) {
    const int64_t first = job * kDownRows, n_rows = std::min(kDownRows, plan_.n_out - first);
    float* parts = parts_ + worker * plan_.n_pairs * kDownRows;
    for (int64_t g = 0; g < plan_.n_groups; ++g) {
      const FfnGroup& group = plan_.groups[g];
      const Inputs hidden{float_hidden_ ? hidden_ + group.first * plan_.n_ff : nullptr, plan_.n_ff,
                          code_hidden_ ? hidden_blocks_ + group.first * hidden_blocks_per_row_ : nullptr,
                          hidden_blocks_per_row_};
      dot_columns(ops_, context_, group.weights.down_proj, first, n_rows, hidden, nullptr, group.count,
                  group.weights.down_bias, row_buffers_ + worker * buffer_elements_, parts + group.first * kDownRows,
                  kDownRows);
    }
    for (int64_t t = 0; t < plan_.n_tokens; ++t) {
      float sum[kDownRows] = {};
      for (int64_t s = t * plan_.n_slots; s < (t + 1) * plan_.n_slots; ++s) {
        if (plan_.slot_pairs[s] < 0) continue;
        ops_.add_scaled(sum, plan_.slot_weights[s], parts + plan_.slot_pairs[s] * kDownRows, n_rows);
      }
      std::copy_n(sum, n_rows, y_ + t * plan_.n_out + first);
    }
  }

  const LevelOps& ops_;
  KernelContext& context_;
  StepScratch scratch_;
  const FfnPlan& plan_;
  float* y_;
  Inputs inputs_;
  bool code_hidden_ = false, float_hidden_ = false;
  ActivationBlock* hidden_blocks_ = nullptr;  // [n_pairs, hidden_blocks_per_row_]
  int64_t hidden_blocks_per_row_ = 0;
  float* hidden_ = nullptr;                   // [n_pairs, n_ff]
  float* row_buffers_ = nullptr;              // [workers, buffer_elements_]
  int64_t buffer_elements_ = 0;
  float* parts_ = nullptr;                    // [workers, n_pairs, kDownRows]
};

}  // namespace

void dense_ffn(const LevelOps& ops, KernelContext& context, const FfnWeights& weights, const float* x,
               int64_t n_tokens, float* y) {
  StepScratch scratch(context);
  const FfnPlan plan = plan_dense_ffn(scratch, weights, n_tokens);
  FfnStep(ops, context, plan, x, y).run();
}

void moe_ffn(const LevelOps& ops, KernelContext& context, const MoeFfn& moe, const float* x, int64_t n_tokens,
             const int32_t* expert_ids, const float* routing_weights, float* y) {
  StepScratch scratch(context);
  const FfnPlan plan = plan_moe_ffn(scratch, moe, x, n_tokens, expert_ids, routing_weights);
  FfnStep(ops, context, plan, x, y).run();
}

}  // namespace moebius::cpu
