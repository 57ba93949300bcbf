// Drafts with the model's multi-token-prediction layer (DeepSeek-V3, arXiv 2412.19437,
// section 2.2). Its cache rows follow the trunk lazily: the trunk's states wait in the
// session's DraftHistory until the token behind them is known, and become rows just before
// the next guess. Further guesses chain the layer on its own state.
#pragma once

#include <memory>
#include <vector>

#include "engine/drafter.h"

namespace moebius {

class MtpDrafter final : public Drafter {
 public:
  // Rows of one decode step: what scratch and logits are made for.
  MtpDrafter(Model::State& model, int64_t max_rows);

  void draft(std::span<DraftTask> tasks) override;
  // Makes rows of all waiting states of the session but the last, whose next token is unknown.
  void absorb(Session::State& session);

 private:
  // A task with the row that its next guess is made of.
  struct Guess {
    DraftTask* task;
    std::vector<int32_t> tokens;  // behind each state
    const float* states;          // [tokens, hidden_size]
    int64_t n_past;               // rows of the MTP layer before these
  };

  // Tasks of at most max_rows waiting states together.
  void draft_batch(std::span<DraftTask* const> tasks);
  // Appends a guess made of logits row `row`; false when the sampler finds none.
  bool guess(DraftTask& task, std::unique_ptr<Sampler>& ahead, int64_t row);
  // Logits and own states of the last row of each guess, in order.
  void run(std::span<const Guess> guesses, Phase phase, bool wants_logits);

  Model::State& model_;
  int64_t max_rows_;
  PageBuffer logits_;  // [max_rows, vocab_size]
  PageBuffer own_;     // [max_rows, hidden_size]
};

}  // namespace moebius
