// The public C++ API of the engine: load a model, look at it, run sessions on it.
// A Model owns the mapped file, the tokenizer, the thread pool and the scratch of its steps;
// sessions and schedulers keep it alive. All calls are thread-safe unless they say otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/model_info.h"
#include "engine/scheduler.h"
#include "engine/session.h"
#include "kernels/thresholds.h"
#include "tokenizer/tokenizer.h"

namespace moebius {

// Bytes of weights touched so far of all; returning false cancels the load.
using LoadProgress = std::function<bool(uint64_t bytes_done, uint64_t bytes_total)>;

struct LoadOptions {
  // GGUF key = value, applied before anything is derived and shown in ModelInfo::derived.
  std::vector<std::pair<std::string, std::string>> overrides;
  std::string backend = "cpu";  // Backend::id(), or "cpu:LEVEL" with one of cpu_levels()
  int n_threads = 0;            // 0 = physical cores
  bool exact = false;           // float activations throughout: slower, for comparisons
  // Operands of prompt attention rounded to bfloat16: faster with long prompts, approximate. Error(kUnsupported)
  // where the backend has no such dots (Backend::has_bf16_attention), Error(kBadRequest) beside `exact`.
  bool bf16_attention = false;
  bool touch_weights = true;    // read the weights in while loading, so that the first token is fast
  bool vocabulary_only = false;  // the tokenizer alone, of any file that has one; no sessions
  // Bytes for the routed experts, which are then read from the file when the router chooses
  // them; same logits, bit for bit. 0: they are mapped like all weights. Error(kMemory) names the
  // least that works (MemoryEstimate), Error(kUnsupported) refuses models without experts.
  uint64_t expert_memory = 0;
  // Of this machine, as calibrate() measured them. Error(kBadRequest) for values out of range.
  KernelThresholds thresholds;
};

class Model {
 public:
  // Any part of a split set names the whole set. Throws Error with kIo, kGguf, kShardMissing,
  // kUnsupported (architecture, format, backend), kMemory or kCancelled.
  static std::shared_ptr<Model> load(const std::string& path, const LoadOptions& options = {},
                                     const LoadProgress& progress = {});
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelInfo& info() const;
  const Tokenizer& tokenizer() const;
  // The template of that name ("" = default) or "" when the file has none.
  std::string chat_template(const std::string& name = "") const;
  std::string backend_id() const;
  std::string backend_device() const;
  std::string backend_level() const;
  int n_threads() const;
  // Transformer layers that have a router, ascending; what RoutingTrace wants.
  std::vector<int64_t> moe_layers() const;
  // Of a model loaded with expert_memory; nothing otherwise.
  std::optional<StreamedExperts> streamed_experts() const;

  struct State;
  State& state() { return *state_; }
  const State& state() const { return *state_; }

 private:
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads headers only. Throws Error(kIo, kGguf, kShardMissing) when the container itself is
// broken; an architecture that cannot run is reported in FileInspection::problem.
FileInspection inspect(const std::string& path,
                       const std::vector<std::pair<std::string, std::string>>& overrides = {});

std::vector<std::string> supported_architectures();

// Logits at every position of a fresh session with an f32 cache.
Logits logits(const std::shared_ptr<Model>& model, std::span<const int32_t> tokens);

// Routing of every token, tokens in order: the prompt run through a fresh session.
struct RouteResult {
  std::vector<int64_t> layers;  // transformer layer of each MoE layer
  int64_t n_tokens = 0, n_active_experts = 0, n_routed_experts = 0;
  std::vector<int32_t> expert_ids;     // [n_moe_layers, n_tokens, n_active], selection order
  std::vector<float> routing_weights;  // same shape
  std::vector<float> router_logits;    // [n_moe_layers, n_tokens, n_routed_experts] when asked for
};
// Throws Error(kUnsupported) for a model without experts.
RouteResult route(const std::shared_ptr<Model>& model, std::span<const int32_t> tokens,
                  bool with_router_logits = false);

// Drafts of the multi-token-prediction layer: row i predicts token i + 2 from tokens i and
// i + 1. [n_tokens - 1, vocab_size]. Throws Error(kUnsupported) without an MTP layer.
Logits mtp_logits(const std::shared_ptr<Model>& model, std::span<const int32_t> tokens);

}  // namespace moebius
