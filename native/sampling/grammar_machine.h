// Runs a grammar over bytes: a pushdown automaton with many stacks at once, whose sets of
// stacks are numbered and whose steps are remembered, so that it behaves like a finite
// automaton built on demand. A constraint and its clones share one machine.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "sampling/grammar.h"

namespace moebius {

class GrammarMachine {
 public:
  using State = uint32_t;
  static constexpr State kDead = 0;

  explicit GrammarMachine(std::shared_ptr<const Grammar> grammar);

  State start() const { return start_; }
  // The state after one more byte, kDead if none fits.
  State step(State state, uint8_t byte);
  // Whether the text so far is a whole match.
  bool accepts(State state) const { return states_[state].accepts; }
  size_t n_states() const { return states_.size(); }

  // What a state stands for: its stacks of elements, top last. Lets a state move to another
  // machine of the same grammar.
  struct Stacks {
    std::vector<std::vector<uint32_t>> stacks;
    bool accepts = false;
  };
  Stacks stacks_of(State state) const;
  State adopt(const Stacks& stacks);

 private:
  // An element to go on with, on top of another node; node 0 is the bottom.
  struct Node {
    uint32_t element;
    uint32_t below;
  };
  struct StateData {
    std::vector<uint32_t> nodes;  // ascending, each on a kBytes element
    bool accepts = false;
  };
  static constexpr uint32_t kUnknown = 0xFFFFFFFF;

  uint32_t node(uint32_t element, uint32_t below);
  // Adds what can come next at `element` above `below` to the state being built.
  void expand(uint32_t element, uint32_t below);
  void expand_rule(uint32_t rule, uint32_t below);
  State finish_state();

  std::shared_ptr<const Grammar> grammar_;
  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, uint32_t> node_ids_;
  std::vector<uint32_t> node_marks_;  // last build that visited the node
  std::vector<StateData> states_;
  std::unordered_multimap<uint64_t, State> state_ids_;  // by hash of their nodes
  std::vector<uint32_t> steps_;                         // [n_states, n_byte_classes]
  State start_ = kDead;

  // The state being built.
  StateData building_;
  uint32_t build_ = 0;
  std::vector<uint32_t> work_;
};

}  // namespace moebius
