#include "sampling/grammar_machine.h"

#include <algorithm>

#include "base/error.h"

namespace moebius {

namespace {

constexpr size_t kMaxStacks = 5000;
// Far more than any step over a whole vocabulary makes; only hostile grammars get there.
constexpr size_t kMaxNodes = 1'000'000;
constexpr size_t kMaxSteps = 8 * 1024 * 1024;

[[noreturn]] void fail_too_ambiguous() {
  throw Error(ErrorCode::kGrammar, "grammar is too ambiguous: it needs too many parse states at once",
              "Rewrite rules that can match the same text in many ways.");
}

}  // namespace

GrammarMachine::GrammarMachine(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
  nodes_.push_back({0, 0});
  node_marks_.push_back(0);
  states_.emplace_back();  // kDead
  steps_.assign(grammar_->n_byte_classes(), kDead);
  ++build_;
  expand_rule(grammar_->root(), 0);
  start_ = finish_state();
}

uint32_t GrammarMachine::node(uint32_t element, uint32_t below) {
  const auto [entry, added] =
      node_ids_.emplace(static_cast<uint64_t>(element) << 32 | below, static_cast<uint32_t>(nodes_.size()));
  if (added) {
    if (nodes_.size() >= kMaxNodes) fail_too_ambiguous();
    nodes_.push_back({element, below});
    node_marks_.push_back(0);
  }
  return entry->second;
}

void GrammarMachine::expand_rule(uint32_t rule, uint32_t below) {
  for (const uint32_t first : grammar_->rules()[rule].alternatives) expand(first, below);
}

void GrammarMachine::expand(uint32_t element, uint32_t below) {
  work_.push_back(node(element, below));
  while (!work_.empty()) {
    const uint32_t id = work_.back();
    work_.pop_back();
    if (node_marks_[id] == build_) continue;
    node_marks_[id] = build_;
    const Node top = nodes_[id];
    const Grammar::Element e = grammar_->elements()[top.element];
    if (e.kind == Grammar::Kind::kBytes) {
      if (building_.nodes.size() >= kMaxStacks) fail_too_ambiguous();
      building_.nodes.push_back(id);
    } else if (e.kind == Grammar::Kind::kEnd) {
      // What lies below is the element to go on with, already a node.
      if (top.below == 0) building_.accepts = true;
      else work_.push_back(top.below);
    } else {
      // A rule at the end of an alternative replaces it, so right recursion needs no stack.
      const bool last = grammar_->elements()[top.element + 1].kind == Grammar::Kind::kEnd;
      const uint32_t rest = last ? top.below : node(top.element + 1, top.below);
      for (const uint32_t first : grammar_->rules()[e.value].alternatives) work_.push_back(node(first, rest));
    }
  }
}

GrammarMachine::State GrammarMachine::finish_state() {
  StateData data = std::move(building_);
  building_ = {};
  if (data.nodes.empty() && !data.accepts) return kDead;
  std::sort(data.nodes.begin(), data.nodes.end());
  uint64_t hash = data.accepts;
  for (const uint32_t id : data.nodes) hash = (hash ^ id) * 0x9E3779B97F4A7C15ull + (hash >> 29);
  const auto [begin, end] = state_ids_.equal_range(hash);
  for (auto known = begin; known != end; ++known) {
    const StateData& other = states_[known->second];
    if (other.accepts == data.accepts && other.nodes == data.nodes) return known->second;
  }
  const State state = static_cast<State>(states_.size());
  if (steps_.size() + grammar_->n_byte_classes() > kMaxSteps) fail_too_ambiguous();
  steps_.resize(steps_.size() + grammar_->n_byte_classes(), kUnknown);
  states_.push_back(std::move(data));
  state_ids_.emplace(hash, state);
  return state;
}

GrammarMachine::State GrammarMachine::step(State state, uint8_t byte) {
  const size_t slot = static_cast<size_t>(state) * grammar_->n_byte_classes() + grammar_->byte_class(byte);
  if (steps_[slot] != kUnknown) return steps_[slot];
  ++build_;
  building_ = {};
  work_.clear();
  for (size_t i = 0; i < states_[state].nodes.size(); ++i) {
    const Node top = nodes_[states_[state].nodes[i]];
    if (grammar_->byte_set(grammar_->elements()[top.element].value).test(byte)) expand(top.element + 1, top.below);
  }
  const State next = finish_state();
  steps_[slot] = next;
  return next;
}

GrammarMachine::Stacks GrammarMachine::stacks_of(State state) const {
  Stacks result{{}, states_[state].accepts};
  for (uint32_t id : states_[state].nodes) {
    std::vector<uint32_t> stack;
    for (; id != 0; id = nodes_[id].below) stack.push_back(nodes_[id].element);
    std::reverse(stack.begin(), stack.end());
    result.stacks.push_back(std::move(stack));
  }
  return result;
}

GrammarMachine::State GrammarMachine::adopt(const Stacks& stacks) {
  ++build_;
  building_ = {};
  building_.accepts = stacks.accepts;
  for (const auto& stack : stacks.stacks) {
    uint32_t id = 0;
    for (const uint32_t element : stack) id = node(element, id);
    building_.nodes.push_back(id);
  }
  return finish_state();
}

}  // namespace moebius
