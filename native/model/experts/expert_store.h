// Routed experts in a given amount of memory: each MoE layer has the same number of slots, and
// what the router chooses is read into them past the page cache, by several threads at once.
// Everything else of a model stays mapped. The store belongs to the model; its sources are used
// by one step at a time, its counters may be read from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/expert_source.h"
#include "model/experts/expert_layout.h"

namespace moebius {

// Since the model was loaded. An expert is counted once for each call that asks for it.
struct ExpertStats {
  uint64_t hits = 0;    // were in memory
  uint64_t misses = 0;  // had to be read
  uint64_t bytes_read = 0;
  double read_ms = 0;   // while anything was being read
  double wait_ms = 0;   // of those, with nothing left to compute
};

class ExpertStore {
 public:
  // Names the tensor that holds a byte, for errors.
  using TensorNames = std::function<std::string(int part, uint64_t offset)>;

  // paths: of the parts. Reserves memory for `slots_per_layer` slots; pages are taken when they
  // are read into. Throws Error(kIo, kMemory).
  ExpertStore(const std::vector<std::string>& paths, std::vector<LayerExperts> layers, int64_t slots_per_layer,
              TensorNames tensor_names);
  ~ExpertStore();
  ExpertStore(const ExpertStore&) = delete;
  ExpertStore& operator=(const ExpertStore&) = delete;

  // null for a layer without experts. Lives as long as the store.
  ExpertSource* source(int64_t layer) const;
  ExpertStats stats() const;
  int64_t slots_per_layer() const;
  const std::vector<LayerExperts>& layers() const;

 private:
  class Layer;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moebius
