// The fused SwiGLU: one job list over all experts (and the shared one) computes gate, up
// and the activation and rounds the result; a second list computes down_proj and sums the
// slots of each token in slot order. Experts that are still being read come in parts of the
// list: each part goes through both, and the sums wait for the last.
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/ffn_plan.h"
#include "kernels/cpu/product.h"

namespace moebius::cpu {

namespace {

constexpr int64_t kMaxRun = kMaxTilesPerJob;
constexpr int64_t kPartBytes = int64_t{16} << 20;   // expert outputs waiting for their sum
constexpr int64_t kBatchBytes = int64_t{16} << 20;  // packed inputs and rounded hidden rows held at once

class FfnStep {
 public:
  // in_parts: to be used with run_part() and sum_parts() instead of run().
  FfnStep(const LevelOps& ops, KernelContext& context, const FfnPlan& plan, const float* x, float* y, bool in_parts)
      : ops_(ops), context_(context), scratch_(context), plan_(plan), groups_(plan.groups), n_groups_(plan.n_groups), y_(y) {
    inputs_ = {x, plan.n_in, nullptr, activation_blocks(plan.n_in)};
    hidden_ = {nullptr, plan.n_ff, nullptr, activation_blocks(plan.n_ff)};
    survey();
    if (code_inputs_) inputs_.blocks = quantize_rows(ops, context, scratch_, x, plan.n_tokens, plan.n_in, plan.n_in);
    if (code_hidden_) hidden_.blocks = hidden_blocks_ = scratch_.take<ActivationBlock>(kept_rows_ * hidden_.blocks_per_row);
    if (float_hidden_) hidden_.x = hidden_floats_ = scratch_.take<float>((kept_rows_ + batch_rows_) * plan.n_ff);
    input_columns_ = take_columns(batch_tiles_, inputs_.blocks_per_row, code_inputs_, float_inputs_);
    hidden_columns_ = take_columns(tile_offsets_[n_groups_], hidden_.blocks_per_row, code_hidden_, float_hidden_);
    const int64_t n_workers = worker_count(context);
    buffers_ = ProductBuffers::take(scratch_, n_workers, std::max(plan.n_in, plan.n_ff));
    products_ = scratch_.take<float>(n_workers * 2 * kSpanColumns * kTileRows);
    const bool by_slices = in_parts || context.phase == Phase::kPrefill;
    down_rows_ = in_parts    ? round_up(plan.n_out, kTileRows)
                 : by_slices ? std::clamp(kPartBytes / (plan.n_pairs * 4) / kTileRows * kTileRows, kTileRows, round_up(plan.n_out, kTileRows))
                             : kTileRows;
    parts_ = scratch_.take<float>(by_slices ? plan.n_pairs * down_rows_ : n_workers * plan.n_pairs * kTileRows * kMaxRun);
  }

  void run() {
    make_hidden();
    if (context_.phase == Phase::kPrefill) {
      for (int64_t row = 0; row < plan_.n_out; row += down_rows_) {
        const int64_t n_rows = std::min(down_rows_, plan_.n_out - row);
        down_slice(row, n_rows);
        sum_slice(row, n_rows);
      }
      return;
    }
    const int64_t n_down = (plan_.n_out + kTileRows - 1) / kTileRows;
    for_chunks(context_, n_down, tiles_per_job(n_down, worker_count(context_)), [this](int64_t begin, int64_t end, int worker) {
      down_jobs(begin, end - begin, worker);
    });
  }

  // These groups of the plan, at last with their weights; each group once, in any order.
  void run_part(const FfnGroup* groups, int64_t n_groups) {
    groups_ = groups;
    n_groups_ = n_groups;
    place_tiles();
    make_hidden();
    down_slice(0, plan_.n_out);
  }
  void sum_parts() { sum_slice(0, plan_.n_out); }

 private:
  // Panels of groups that use tiles, group after group.
  struct PanelColumns {
    ColumnBlock* panels = nullptr;
    FloatColumnBlock* float_panels = nullptr;
    int64_t n_blocks = 0;
    int64_t first_tile = 0;  // of the plan: the one that lies first

    PanelColumns floats() const { return {nullptr, float_panels, n_blocks, first_tile}; }
    ColumnBlock* codes_of(int64_t tile) const { return panels != nullptr ? panels + (tile - first_tile) * n_blocks : nullptr; }
    FloatColumnBlock* floats_of(int64_t tile) const { return float_panels != nullptr ? float_panels + (tile - first_tile) * n_blocks : nullptr; }
  };

  // Whether the inputs, the hidden rows of a group are packed: gate and up read the first, down
  // the second.
  bool packs_inputs(const FfnGroup& group) const {
    return uses_tiles(context_, group.weights.gate_proj.format, group.count) || uses_tiles(context_, group.weights.up_proj.format, group.count);
  }
  bool packs_hidden(const FfnGroup& group) const { return uses_tiles(context_, group.weights.down_proj.format, group.count); }
  static int64_t ff_tiles(const FfnGroup& group) { return (group.weights.gate_proj.n_out + kTileRows - 1) / kTileRows; }

  void survey() {
    tile_offsets_ = scratch_.take<int64_t>(n_groups_ + 1);
    hidden_rows_ = scratch_.take<int64_t>(n_groups_);
    for (int64_t g = 0; g < n_groups_; ++g) {
      const FfnWeights& weights = groups_[g].weights;
      for (QuantFormat format : {weights.gate_proj.format, weights.up_proj.format})
        (uses_codes(context_, format) ? code_inputs_ : float_inputs_) = true;
      (uses_codes(context_, weights.down_proj.format) ? code_hidden_ : float_hidden_) = true;
    }
    place_tiles();
    size_batches();
  }

  // A batch holds so many tiles of columns: what the bytes allow, the largest group at least.
  void size_batches() {
    const int64_t inputs = inputs_.blocks_per_row * static_cast<int64_t>((code_inputs_ ? sizeof(ColumnBlock) : 0) + (float_inputs_ ? sizeof(FloatColumnBlock) : 0));
    const int64_t hidden = float_hidden_ ? plan_.n_ff * 4 : 0;  // codes are packed at once
    batch_tiles_ = kBatchBytes / (inputs + kTileColumns * hidden);
    int64_t tiled_rows = 0;
    for (int64_t g = 0; g < n_groups_; ++g) {
      if (packs_hidden(groups_[g])) tiled_rows += groups_[g].count;
      batch_tiles_ = std::max(batch_tiles_, tile_offsets_[g + 1] - tile_offsets_[g]);
    }
    batch_tiles_ = std::min(batch_tiles_, tile_offsets_[n_groups_]);
    batch_rows_ = std::min(tiled_rows, batch_tiles_ * kTileColumns);
    kept_rows_ = plan_.n_pairs - tiled_rows;
  }

  void place_tiles() {
    tile_offsets_[0] = 0;
    for (int64_t g = 0; g < n_groups_; ++g)
      tile_offsets_[g + 1] = tile_offsets_[g] + (packs_inputs(groups_[g]) || packs_hidden(groups_[g]) ? column_tiles(groups_[g].count) : 0);
  }

  // The activations between gate, up and down_proj of all pairs, rounded and packed: one batch
  // of groups after the other, so that little is held at once.
  void make_hidden() {
    int64_t n_kept = 0;
    for (first_group_ = 0; first_group_ < n_groups_; first_group_ = end_group_) {
      take_batch(n_kept);
      pack(inputs_, plan_.tokens, input_columns_);
      int64_t n_jobs = 0;
      for (int64_t g = first_group_; g < end_group_; ++g) n_jobs += ff_tiles(groups_[g]);
      for_chunks(context_, n_jobs, tiles_per_job(n_jobs, worker_count(context_)), [this](int64_t begin, int64_t end, int worker) {
        gate_up_jobs(begin, end - begin, worker);
      });
      pack(hidden_, nullptr, hidden_columns_.floats());
    }
  }

  // As many groups as a batch holds. Hidden rows that row dots read stay for good; behind them
  // lie those of the batch that will be packed as floats.
  void take_batch(int64_t& n_kept) {
    input_columns_.first_tile = tile_offsets_[first_group_];
    int64_t n_rows = 0;
    for (end_group_ = first_group_; end_group_ < n_groups_; ++end_group_) {
      const FfnGroup& group = groups_[end_group_];
      if (tile_offsets_[end_group_ + 1] - tile_offsets_[first_group_] > batch_tiles_) return;
      hidden_rows_[end_group_] = packs_hidden(group) ? kept_rows_ + n_rows : n_kept;
      (packs_hidden(group) ? n_rows : n_kept) += group.count;
    }
  }

  PanelColumns take_columns(int64_t n_tiles, int64_t n_blocks, bool codes, bool floats) {
    const int64_t n = n_tiles * n_blocks;
    return {codes ? scratch_.take<ColumnBlock>(n) : nullptr, floats ? scratch_.take<FloatColumnBlock>(n) : nullptr, n_blocks};
  }

  // The columns of a group: its pairs, through `tokens` when given.
  Columns columns_of(int64_t g, const Inputs& inputs, const int32_t* tokens, const PanelColumns& all) const {
    const FfnGroup& group = groups_[g];
    Columns columns{inputs, nullptr, group.count};
    if (tokens != nullptr) {
      columns.rows = tokens + group.first;
    } else {
      if (inputs.x != nullptr) columns.inputs.x = inputs.row(hidden_rows_[g]);
      if (inputs.blocks != nullptr && !packs_hidden(group)) columns.inputs.blocks = inputs.block_row(hidden_rows_[g]);
    }
    if (!(tokens != nullptr ? packs_inputs(group) : packs_hidden(group))) return columns;
    columns.panels = all.codes_of(tile_offsets_[g]);
    columns.float_panels = all.floats_of(tile_offsets_[g]);
    return columns;
  }

  // Fills the panels of the batch's groups.
  void pack(const Inputs& inputs, const int32_t* tokens, const PanelColumns& all) {
    if (all.panels == nullptr && all.float_panels == nullptr) return;
    const int64_t first_tile = tile_offsets_[first_group_];
    for_chunks(context_, tile_offsets_[end_group_] - first_tile, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t index = first_tile + begin; index < first_tile + end; ++index) {
        int64_t g = first_group_;
        while (index >= tile_offsets_[g + 1]) ++g;
        const int64_t tile = index - tile_offsets_[g];
        const Columns columns = columns_of(g, inputs, tokens, all);
        if (columns.panels == nullptr && columns.float_panels == nullptr) continue;
        const int64_t n_in = tokens != nullptr ? plan_.n_in : groups_[g].weights.down_proj.n_in;
        if (all.panels != nullptr) pack_code_panels(ops_, columns, tile, tile + 1, all.codes_of(tile_offsets_[g]));
        if (all.float_panels != nullptr) pack_float_panels(columns, n_in, tile, tile + 1, all.floats_of(tile_offsets_[g]));
      }
    });
  }

  // Tiles [tile, tile + n_tiles) of the list of the batch's hidden rows.
  void gate_up_jobs(int64_t tile, int64_t n_tiles, int worker) {
    int64_t g = first_group_;
    while (tile >= ff_tiles(groups_[g])) tile -= ff_tiles(groups_[g++]);
    while (n_tiles > 0) {
      const int64_t fitting = std::clamp<int64_t>(kSpanColumns / groups_[g].count, 1, kMaxRun);
      const int64_t run = std::min({n_tiles, ff_tiles(groups_[g]) - tile, fitting});
      gate_up_run(g, tile, run, worker);
      n_tiles -= run;
      tile += run;
      if (tile == ff_tiles(groups_[g])) {
        tile = 0;
        ++g;
      }
    }
  }

  // Where tile `tile` of gate lies, or the next group's first; null behind the last.
  const uint8_t* gate_rows(int64_t g, int64_t tile) const {
    if (tile < ff_tiles(groups_[g])) return groups_[g].weights.gate_proj.row(tile * kTileRows);
    return g + 1 < end_group_ ? groups_[g + 1].weights.gate_proj.row(0) : nullptr;
  }

  // All of gate, then all of up: both are read as one stream each.
  void gate_up_run(int64_t g, int64_t first_tile, int64_t n_tiles, int worker) {
    const FfnGroup& group = groups_[g];
    const FfnWeights& weights = group.weights;
    const Columns columns = columns_of(g, inputs_, plan_.tokens, input_columns_);
    const Columns for_gate = columns_for(context_, weights.gate_proj.format, columns), for_up = columns_for(context_, weights.up_proj.format, columns);
    const ProductBuffers buffers = buffers_.of_worker(worker);
    float* gate = products_ + worker * 2 * kSpanColumns * kTileRows;
    float* up = gate + kSpanColumns * kTileRows;
    const auto tile_rows = [&](int64_t i) { return std::min(kTileRows, weights.gate_proj.n_out - (first_tile + i) * kTileRows); };
    for (int64_t first = 0; first < group.count; first += kSpanColumns) {
      const int64_t n = std::min(kSpanColumns, group.count - first);
      for (int64_t i = 0; i < n_tiles; ++i)
        multiply_rows(ops_, context_, weights.gate_proj, rows_of_tile(weights.gate_proj, first_tile, n_tiles, i, weights.up_proj.row(first_tile * kTileRows)),
                      for_gate, first, n, weights.gate_bias, buffers, gate + i * n * kTileRows);
      for (int64_t i = 0; i < n_tiles; ++i)
        multiply_rows(ops_, context_, weights.up_proj, rows_of_tile(weights.up_proj, first_tile, n_tiles, i, gate_rows(g, first_tile + n_tiles)),
                      for_up, first, n, weights.up_bias, buffers, up + i * n * kTileRows);
      for (int64_t i = 0; i < n_tiles; ++i) {
        float *values = gate + i * n * kTileRows, *of_up = up + i * n * kTileRows;
        for (int64_t at = 0; at < n * kTileRows; at += kTileRows)
          ops_.activate(weights.activation, values + at, of_up + at, tile_rows(i), values + at);
        store_hidden(g, first, n, (first_tile + i) * kTileRows, tile_rows(i), values);
      }
    }
  }

  // Elements [first_row, first_row + n_rows) of the hidden rows of pairs [first, first + n) of a
  // group; values [n, 32]. The last job of a row also clears the padding behind it.
  void store_hidden(int64_t g, int64_t first, int64_t n, int64_t first_row, int64_t n_rows, const float* values) {
    const FfnWeights& weights = groups_[g].weights;
    const int64_t row = hidden_rows_[g] + first, n_ff = weights.gate_proj.n_out, group = first_row / 32;
    const GroupRange range{group, first_row + n_rows == n_ff ? activation_blocks(n_ff) * 8 : group + 1};
    if (!uses_codes(context_, weights.down_proj.format)) {
      for (int64_t i = 0; i < n; ++i) std::copy_n(values + i * kTileRows, n_rows, hidden_floats_ + (row + i) * plan_.n_ff + first_row);
    } else if (packs_hidden(groups_[g])) {
      pack_hidden(values, n_rows, n, range, hidden_columns_.codes_of(tile_offsets_[g] + first / kTileColumns));
    } else {
      for (int64_t i = 0; i < n; ++i)
        ops_.quantize_groups(values + i * kTileRows, n_rows, range.first, range.end - range.first, hidden_blocks_ + (row + i) * hidden_.blocks_per_row);
    }
  }

  // Rounded straight into the panels: all hidden rows of a prompt would not stay in the caches
  // until they are packed.
  void pack_hidden(const float* values, int64_t n_rows, int64_t n, GroupRange range, ColumnBlock* panel) const {
    ActivationBlock blocks[kTileColumns];
    const ActivationBlock* rows[kTileColumns];
    for (int i = 0; i < kTileColumns; ++i) rows[i] = blocks + i;
    for (int64_t first = 0; first < n; first += kTileColumns, panel += hidden_.blocks_per_row) {
      const auto count = static_cast<int>(std::min<int64_t>(kTileColumns, n - first));
      for (int i = 0; i < count; ++i)
        ops_.quantize_groups(values + (first + i) * kTileRows, n_rows, range.first % 8, range.end - range.first, blocks + i);
      ops_.pack_groups(rows, count, range, hidden_.blocks_per_row, panel);
    }
  }

  // Output rows [row, row + n_rows) of all groups.
  void down_slice(int64_t row, int64_t n_rows) {
    const int64_t tiles = (n_rows + kTileRows - 1) / kTileRows, n_jobs = n_groups_ * tiles;
    for_chunks(context_, n_jobs, tiles_per_job(n_jobs, worker_count(context_)), [&](int64_t begin, int64_t end, int worker) {
      for (int64_t job = begin; job < end; ++job) down_tile(job / tiles, row, job % tiles, worker);
    });
  }

  // Their sums in slot order.
  void sum_slice(int64_t row, int64_t n_rows) {
    constexpr int64_t kTokensPerJob = 8;
    for_chunks(context_, plan_.n_tokens, kTokensPerJob, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t)
        sum_slots(t, parts_, down_rows_, n_rows, y_ + t * plan_.n_out + row);
    });
  }

  void down_tile(int64_t g, int64_t row, int64_t tile, int worker) {
    const FfnGroup& group = groups_[g];
    const int64_t first_row = row + tile * kTileRows, n_rows = std::min(kTileRows, plan_.n_out - first_row);
    const Columns columns = columns_of(g, hidden_, nullptr, hidden_columns_);
    float* product = products_ + worker * 2 * kSpanColumns * kTileRows;
    for (int64_t first = 0; first < group.count; first += kSpanColumns) {
      const int64_t n = std::min(kSpanColumns, group.count - first);
      multiply_rows(ops_, context_, group.weights.down_proj, {first_row, n_rows}, columns, first, n, group.weights.down_bias,
                    buffers_.of_worker(worker), product);
      for (int64_t i = 0; i < n; ++i)
        std::copy_n(product + i * kTileRows, n_rows, parts_ + (group.first + first + i) * down_rows_ + tile * kTileRows);
    }
  }

  void sum_slots(int64_t t, const float* parts, int64_t stride, int64_t n, float* sum) const {
    std::fill_n(sum, n, 0.0f);
    for (int64_t s = t * plan_.n_slots; s < (t + 1) * plan_.n_slots; ++s)
      if (plan_.slot_pairs[s] >= 0) ops_.add_scaled(sum, plan_.slot_weights[s], parts + plan_.slot_pairs[s] * stride, n);
  }

  // What follows the run of a group: the same of the next group, then the next run.
  const uint8_t* down_rows_after(int64_t g, int64_t first_tile, int64_t n_tiles) const {
    if (g + 1 < n_groups_) return groups_[g + 1].weights.down_proj.row(first_tile * kTileRows);
    const int64_t row = (first_tile + n_tiles) * kTileRows;
    return row < plan_.n_out ? groups_[0].weights.down_proj.row(row) : nullptr;
  }

  // Decode: the output rows of a run of tiles for all groups, summed at once.
  void down_jobs(int64_t first_tile, int64_t n_tiles, int worker) {
    float* parts = parts_ + worker * plan_.n_pairs * kTileRows * kMaxRun;
    const auto tile_rows = [&](int64_t i) { return std::min(kTileRows, plan_.n_out - (first_tile + i) * kTileRows); };
    for (int64_t g = 0; g < n_groups_; ++g) {
      const FfnGroup& group = groups_[g];
      const Columns columns = columns_of(g, hidden_, nullptr, hidden_columns_);
      const uint8_t* after = down_rows_after(g, first_tile, n_tiles);
      for (int64_t i = 0; i < n_tiles; ++i)
        for (int64_t first = 0; first < group.count; first += kSpanColumns)
          multiply_rows(ops_, context_, group.weights.down_proj, rows_of_tile(group.weights.down_proj, first_tile, n_tiles, i, after), columns,
                        first, std::min(kSpanColumns, group.count - first), group.weights.down_bias, buffers_.of_worker(worker),
                        parts + (i * plan_.n_pairs + group.first + first) * kTileRows);
    }
    for (int64_t i = 0; i < n_tiles; ++i)
      for (int64_t t = 0; t < plan_.n_tokens; ++t)
        sum_slots(t, parts + i * plan_.n_pairs * kTileRows, kTileRows, tile_rows(i), y_ + t * plan_.n_out + (first_tile + i) * kTileRows);
  }

  const LevelOps& ops_;
  KernelContext& context_;
  StepScratch scratch_;
  const FfnPlan& plan_;
  const FfnGroup* groups_;                    // of the plan, or of the part at work
  int64_t n_groups_;
  float* y_;
  bool code_inputs_ = false, float_inputs_ = false, code_hidden_ = false, float_hidden_ = false;
  int64_t* tile_offsets_ = nullptr;           // [n_groups + 1] in column tiles
  int64_t first_group_ = 0, end_group_ = 0;   // the batch at work
  int64_t batch_tiles_ = 0, batch_rows_ = 0;  // what a batch holds
  int64_t kept_rows_ = 0;                     // hidden rows that row dots read
  Inputs inputs_;                             // rows are tokens
  Inputs hidden_;                             // rows as hidden_rows_ places them
  int64_t* hidden_rows_ = nullptr;            // [n_groups] the first row of a group
  ActivationBlock* hidden_blocks_ = nullptr;  // [kept_rows, blocks]
  float* hidden_floats_ = nullptr;            // [kept_rows + batch_rows, n_ff]
  PanelColumns input_columns_, hidden_columns_;
  ProductBuffers buffers_;
  float* products_ = nullptr;                 // [workers, gate and up, kSpanColumns, 32]
  int64_t down_rows_ = 0;                     // output rows summed at once
  float* parts_ = nullptr;                    // [n_pairs, down_rows_]; decode: [workers, kMaxRun, n_pairs, 32]
};

void set_data(const ExpertSource& source, FfnGroup& group) {
  const ExpertData data = source.data(group.expert);
  group.weights.gate_proj.data = data.gate_proj;
  group.weights.up_proj.data = data.up_proj;
  group.weights.down_proj.data = data.down_proj;
}

// The shared expert and the experts at hand are computed while the others are read.
void streamed_moe_ffn(const LevelOps& ops, KernelContext& context, ExpertSource& source, StepScratch& scratch,
                      const FfnPlan& plan, const float* x, float* y) {
  const bool has_shared = plan.n_groups > 0 && plan.groups[plan.n_groups - 1].expert < 0;
  const int64_t n_routed = plan.n_groups - has_shared;
  auto* experts = scratch.take<int32_t>(plan.n_groups);
  auto* given = scratch.take<int32_t>(plan.n_groups);
  auto* part = scratch.take<FfnGroup>(plan.n_groups);
  for (int64_t g = 0; g < n_routed; ++g) experts[g] = plan.groups[g].expert;
  const auto gather = [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) set_data(source, part[i] = plan.groups[given[i]]);
  };
  int64_t n = source.begin(experts, n_routed, given);
  gather(n);
  if (n == n_routed) {
    for (int64_t g = 0; g < n_routed; ++g) set_data(source, plan.groups[g]);
    return FfnStep(ops, context, plan, x, y, /*in_parts=*/false).run();
  }
  FfnStep step(ops, context, plan, x, y, /*in_parts=*/true);
  if (has_shared) part[n] = plan.groups[n_routed];
  if (n + has_shared > 0) step.run_part(part, n + has_shared);
  while ((n = source.next(given)) > 0) {
    gather(n);
    step.run_part(part, n);
  }
  step.sum_parts();
}

}  // namespace

void dense_ffn(const LevelOps& ops, KernelContext& context, const FfnWeights& weights, const float* x,
               int64_t n_tokens, float* y) {
  if (n_tokens == 0) return;
  StepScratch scratch(context);
  const FfnPlan plan = plan_dense_ffn(scratch, weights, n_tokens);
  FfnStep(ops, context, plan, x, y, /*in_parts=*/false).run();
}

void moe_ffn(const LevelOps& ops, KernelContext& context, const MoeFfn& moe, const float* x, int64_t n_tokens,
             const int32_t* expert_ids, const float* routing_weights, float* y) {
  if (n_tokens == 0) return;
  StepScratch scratch(context);
  const FfnPlan plan = plan_moe_ffn(scratch, moe, x, n_tokens, expert_ids, routing_weights);
  if (moe.source != nullptr) return streamed_moe_ffn(ops, context, *moe.source, scratch, plan, x, y);
  FfnStep(ops, context, plan, x, y, /*in_parts=*/false).run();
}

}  // namespace moebius::cpu
