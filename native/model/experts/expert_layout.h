// Where the matrices of the routed experts lie in the files, layer by layer, and how much
// memory holding them takes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "formats/gguf_model_file.h"
#include "model/config.h"
#include "model/weights.h"

namespace moebius {

// One matrix of one expert: bytes [offset, offset + n_bytes) of a part.
struct SliceLocation {
  int part = 0;
  uint64_t offset = 0;
  uint64_t n_bytes = 0;

  uint64_t end() const { return offset + n_bytes; }
};

struct LayerExperts {
  int64_t layer = 0;
  // [n_routed_experts]: gate_proj, up_proj, down_proj
  std::vector<std::array<SliceLocation, 3>> experts;

  // Room for each matrix of any expert, in whole pages around it as they lie in the file.
  std::array<uint64_t, 3> region_bytes() const;
  // Room for one expert.
  uint64_t slot_bytes() const;
  uint64_t n_bytes() const;  // in the file, all experts
};

// Layers with experts, ascending, the MTP layer's included. Nothing is read: `weights` may be
// bound to headers only.
std::vector<LayerExperts> expert_layout(const GgufModelFile& file, const ModelWeights& weights);

// The tensors of the file that hold these experts; the names live as long as the file.
std::unordered_set<std::string_view> expert_tensors(const GgufModelFile& file, const std::vector<LayerExperts>& layers);

// One slot in every layer.
uint64_t expert_slot_bytes(const std::vector<LayerExperts>& layers);

// How a budget is spent: the same number of slots in every layer.
struct ExpertBudget {
  int64_t slots_per_layer = 0;
  uint64_t n_bytes = 0;     // of these slots, at most the budget
  uint64_t least_bytes = 0;  // smallest budget: a slot for each active expert
};
// Throws Error(kMemory) naming the least budget when this one is smaller, Error(kUnsupported)
// without experts.
ExpertBudget spend_expert_budget(uint64_t slot_bytes, int64_t n_routed_experts, int64_t n_active_experts, uint64_t budget);

}  // namespace moebius
