#include "model/experts/expert_layout.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/direct_file.h"
#include "base/error.h"

namespace moebius {

namespace {

SliceLocation locate(const GgufModelFile& file, const uint8_t* data, uint64_t n_bytes) {
  for (size_t part = 0; part < file.parts().size(); ++part) {
    const MappedFile& mapping = file.parts()[part].mapping();
    if (data >= mapping.data() && data < mapping.data() + mapping.size())
      return {static_cast<int>(part), static_cast<uint64_t>(data - mapping.data()), n_bytes};
  }
  throw Error(ErrorCode::kInternal, "the weights of an expert lie in no file of the model");
}

SliceLocation locate(const GgufModelFile& file, const Matrix& stack, const std::vector<const uint8_t*>& scattered,
                     size_t expert) {
  const auto* data = scattered.empty() ? static_cast<const uint8_t*>(stack.data) + expert * stack.matrix_stride : scattered[expert];
  return locate(file, data, static_cast<uint64_t>(stack.n_out) * stack.row_bytes);
}

}  // namespace

std::array<uint64_t, 3> LayerExperts::region_bytes() const {
  std::array<uint64_t, 3> most{};
  for (const auto& expert : experts)
    for (size_t i = 0; i < expert.size(); ++i) {
      const uint64_t begin = expert[i].offset / kDirectPage, end = (expert[i].end() + kDirectPage - 1) / kDirectPage;
      most[i] = std::max(most[i], (end - begin) * kDirectPage);
    }
  return most;
}

uint64_t LayerExperts::slot_bytes() const {
  const std::array<uint64_t, 3> regions = region_bytes();
  return regions[0] + regions[1] + regions[2];
}

uint64_t LayerExperts::n_bytes() const {
  uint64_t total = 0;
  for (const auto& expert : experts)
    for (const SliceLocation& slice : expert) total += slice.n_bytes;
  return total;
}

std::vector<LayerExperts> expert_layout(const GgufModelFile& file, const ModelWeights& weights) {
  std::vector<LayerExperts> layers;
  for (size_t layer = 0; layer < weights.layers.size(); ++layer) {
    const FfnWeights& stack = weights.layers[layer].moe.experts;
    const ScatteredExperts& scattered = weights.layers[layer].scattered_experts;
    if (stack.gate_proj.empty()) continue;
    LayerExperts experts;
    experts.layer = static_cast<int64_t>(layer);
    for (size_t expert = 0; expert < static_cast<size_t>(stack.gate_proj.n_matrices); ++expert)
      experts.experts.push_back({locate(file, stack.gate_proj, scattered.gate_proj, expert),
                                 locate(file, stack.up_proj, scattered.up_proj, expert),
                                 locate(file, stack.down_proj, scattered.down_proj, expert)});
    layers.push_back(std::move(experts));
  }
  return layers;
}

std::unordered_set<std::string_view> expert_tensors(const GgufModelFile& file, const std::vector<LayerExperts>& layers) {
  std::set<std::pair<int, uint64_t>> starts;
  for (const LayerExperts& layer : layers)
    for (const auto& expert : layer.experts)
      for (const SliceLocation& slice : expert) starts.insert({slice.part, slice.offset});
  std::unordered_set<std::string_view> names;
  for (const GgufTensor& tensor : file.tensors())
    if (starts.contains({tensor.part, tensor.offset})) names.insert(tensor.name);
  return names;
}

uint64_t expert_slot_bytes(const std::vector<LayerExperts>& layers) {
  uint64_t total = 0;
  for (const LayerExperts& layer : layers) total += layer.slot_bytes();
  return total;
}

ExpertBudget spend_expert_budget(uint64_t slot_bytes, int64_t n_routed_experts, int64_t n_active_experts, uint64_t budget) {
  if (n_routed_experts == 0)
    throw Error(ErrorCode::kUnsupported, "expert memory: this model has no routed experts", "Load it without expert memory.");
  ExpertBudget spent;
  spent.least_bytes = slot_bytes * static_cast<uint64_t>(n_active_experts);
  if (budget < spent.least_bytes)
    throw Error(ErrorCode::kMemory,
                format_text("expert memory: %llu bytes do not hold the %lld experts that a token uses in every layer, expected at least %llu (%.1f MiB)",
                            static_cast<unsigned long long>(budget), static_cast<long long>(n_active_experts),
                            static_cast<unsigned long long>(spent.least_bytes), static_cast<double>(spent.least_bytes) / (1 << 20)),
                "Give the experts more memory, or load the model without a limit.");
  spent.slots_per_layer = static_cast<int64_t>(std::min(budget / slot_bytes, static_cast<uint64_t>(n_routed_experts)));
  spent.n_bytes = slot_bytes * static_cast<uint64_t>(spent.slots_per_layer);
  return spent;
}

}  // namespace moebius
