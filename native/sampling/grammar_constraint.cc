#include <algorithm>
#include <limits>
#include <mutex>

#include "base/error.h"
#include "sampling/grammar.h"
#include "sampling/grammar_machine.h"

namespace moebius {

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
// When a machine has learnt this many states, the next answer step starts a new one.
constexpr size_t kMaxStates = 20000;
constexpr size_t kMaxMasks = 128;

using State = GrammarMachine::State;
using TokenMask = std::vector<uint64_t>;  // bit id: the token is allowed

// A machine and the token masks worked out so far. Clones on other threads may use it too.
struct SharedMachine {
  explicit SharedMachine(const std::shared_ptr<const Grammar>& grammar) : machine(grammar) {}
  std::mutex mutex;
  GrammarMachine machine;
  std::unordered_map<State, std::shared_ptr<const TokenMask>> masks;
};

class GrammarConstraint final : public TokenConstraint {
 public:
  GrammarConstraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTable> tokens)
      : grammar_(std::move(grammar)), tokens_(std::move(tokens)), shared_(std::make_shared<SharedMachine>(grammar_)) {
    state_ = shared_->machine.start();
    is_end_.resize(static_cast<size_t>(tokens_->vocab_size()));
    for (const int32_t id : tokens_->end_of_generation_ids()) is_end_[static_cast<size_t>(id)] = true;
  }

  void mask(std::span<float> logits) override {
    std::shared_ptr<const TokenMask> mask;
    bool complete;
    {
      const std::lock_guard lock(shared_->mutex);
      complete = shared_->machine.accepts(state_);
      if (!finished_) mask = mask_of(state_);
    }
    bool any = false;
    for (size_t id = 0; id < logits.size(); ++id) {
      const bool end = id < is_end_.size() && is_end_[id];
      const bool in_mask = mask && id / 64 < mask->size() && ((*mask)[id / 64] >> (id % 64) & 1);
      const bool allowed = end ? complete : in_mask;
      any |= allowed;
      if (!allowed) logits[id] = kMinusInfinity;
    }
    if (!any)
      throw Error(ErrorCode::kGrammar, complete ? "the answer matches the grammar, but the model has no token that ends it"
                                                : "no token of the model can continue the answer as the grammar demands");
  }

  void accept(int32_t id) override {
    retired_.reset();
    const std::lock_guard lock(shared_->mutex);
    if (is_end(id) && shared_->machine.accepts(state_)) {
      finished_ = true;
      return;
    }
    const State next = finished_ || is_end(id) ? GrammarMachine::kDead : walk(state_, tokens_->bytes(id));
    if (next == GrammarMachine::kDead)
      throw Error(ErrorCode::kGrammar, format_text("the grammar does not allow token %d here", id));
    state_ = next;
    renew_machine();
  }

  bool allows(int32_t id) const override {
    const std::lock_guard lock(shared_->mutex);
    if (is_end(id)) return shared_->machine.accepts(state_);
    return !finished_ && walk(state_, tokens_->bytes(id)) != GrammarMachine::kDead;
  }

  bool is_complete() const override {
    const std::lock_guard lock(shared_->mutex);
    return shared_->machine.accepts(state_);
  }

  void reset() override {
    const std::lock_guard lock(shared_->mutex);
    state_ = shared_->machine.start();
    finished_ = false;
  }

  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<GrammarConstraint>(*this); }

 private:
  bool is_end(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < is_end_.size() && is_end_[static_cast<size_t>(id)];
  }

  // kDead for tokens without bytes, too.
  State walk(State state, std::string_view bytes) const {
    if (bytes.empty()) return GrammarMachine::kDead;
    for (const char c : bytes) {
      state = shared_->machine.step(state, static_cast<uint8_t>(c));
      if (state == GrammarMachine::kDead) break;
    }
    return state;
  }

  std::shared_ptr<const TokenMask> mask_of(State state) const {
    const auto known = shared_->masks.find(state);
    if (known != shared_->masks.end()) return known->second;
    if (shared_->masks.size() >= kMaxMasks) shared_->masks.clear();
    auto mask = std::make_shared<const TokenMask>(make_mask(state));
    shared_->masks.emplace(state, mask);
    return mask;
  }

  // Walks the tokens in the order of their bytes, each from where it parts from the one before.
  TokenMask make_mask(State start) const {
    TokenMask mask((is_end_.size() + 63) / 64);
    const auto& ids = tokens_->sorted_ids();
    std::vector<State> path = {start};  // path[n]: after n bytes of the last token walked
    size_t live = 0;                    // path[0..live] are not dead
    for (size_t i = 0; i < ids.size(); ++i) {
      const size_t shared_bytes = tokens_->common_prefix()[i];
      if (shared_bytes > live) continue;  // shares the byte at which that one died
      const std::string_view bytes = tokens_->bytes(ids[i]);
      path.resize(std::max(path.size(), bytes.size() + 1));
      live = shared_bytes;
      while (live < bytes.size()) {
        const State next = shared_->machine.step(path[live], static_cast<uint8_t>(bytes[live]));
        if (next == GrammarMachine::kDead) break;
        path[++live] = next;
      }
      if (live == bytes.size()) mask[static_cast<size_t>(ids[i]) / 64] |= uint64_t{1} << (ids[i] % 64);
    }
    return mask;
  }

  // Call with the lock held. Clones keep the old machine as long as they need it.
  void renew_machine() {
    if (shared_->machine.n_states() < kMaxStates) return;
    auto fresh = std::make_shared<SharedMachine>(grammar_);
    state_ = fresh->machine.adopt(shared_->machine.stacks_of(state_));
    retired_ = std::exchange(shared_, std::move(fresh));  // its mutex is still locked
  }

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTable> tokens_;
  std::shared_ptr<SharedMachine> shared_;
  std::shared_ptr<SharedMachine> retired_;
  std::vector<bool> is_end_;  // [vocab_size]
  State state_ = GrammarMachine::kDead;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<TokenConstraint> make_grammar_constraint(std::shared_ptr<const Grammar> grammar,
                                                         std::shared_ptr<const TokenTable> tokens) {
  return std::make_unique<GrammarConstraint>(std::move(grammar), std::move(tokens));
}

bool grammar_accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  GrammarMachine machine(grammar);
  State state = machine.start();
  for (const char c : text) state = machine.step(state, static_cast<uint8_t>(c));
  return machine.accepts(state);
}

}  // namespace moebius
