#include "engine/mtp_drafter.h"

#include <algorithm>
#include <memory>

#include "base/error.h"

namespace moebius {

namespace {

// The tokens behind the session's first n waiting states; last_token closes the sequence.
std::vector<int32_t> tokens_behind(const Session::State& session, int64_t n, int32_t last_token) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t next = session.drafts.first_state() + i + 1;
    tokens.push_back(next < session.position() ? session.tokens[static_cast<size_t>(next)] : last_token);
  }
  return tokens;
}

}  // namespace

MtpDrafter::MtpDrafter(Model::State& model, int64_t max_rows)
    : model_(model),
      max_rows_(max_rows),
      logits_(static_cast<size_t>(max_rows * model.decoder.config.vocab_size) * sizeof(float)),
      own_(static_cast<size_t>(max_rows * model.decoder.config.hidden_size) * sizeof(float)) {}

void MtpDrafter::run(std::span<const Guess> guesses, Phase phase, bool wants_logits) {
  const ModelConfig& config = model_.decoder.config;
  std::vector<int32_t> token_ids;
  std::vector<BatchSpan> spans;
  std::vector<int64_t> last_rows;
  for (const Guess& guess : guesses) {
    BatchSpan span;
    span.first_row = static_cast<int64_t>(token_ids.size());
    span.n_rows = static_cast<int64_t>(guess.tokens.size());
    span.n_past = guess.n_past;
    span.cache = guess.task->session->cache.get();
    spans.push_back(span);
    token_ids.insert(token_ids.end(), guess.tokens.begin(), guess.tokens.end());
    if (wants_logits) last_rows.push_back(span.first_row + span.n_rows - 1);
  }
  const std::lock_guard<std::mutex> lock(model_.step_mutex);
  OpContext op = model_.begin_step(phase);
  const Rows states = op.rows(static_cast<int64_t>(token_ids.size()), config.hidden_size);
  for (size_t i = 0; i < guesses.size(); ++i)
    std::copy_n(guesses[i].states, spans[i].n_rows * states.n, states.row(spans[i].first_row));
  Batch batch;
  batch.token_ids = token_ids;
  batch.spans = spans;
  batch.logit_rows = last_rows;
  const int64_t n_logits = static_cast<int64_t>(last_rows.size());
  forward_mtp(model_.decoder, op, batch, states,
              {logits_.as<float>(), n_logits, config.vocab_size, config.vocab_size},
              {own_.as<float>(), n_logits, config.hidden_size, config.hidden_size});
}

void MtpDrafter::absorb(Session::State& session) {
  const int64_t n = session.drafts.n_states() - 1;
  if (n < 1) return;
  DraftTask task;
  task.session = &session;
  const Guess guess{&task, tokens_behind(session, n, -1), session.drafts.states(), session.drafts.n_rows()};
  run({&guess, 1}, Phase::kPrefill, /*wants_logits=*/false);
  session.drafts.made_rows(n, model_.decoder.config.hidden_size);
}

bool MtpDrafter::guess(DraftTask& task, std::unique_ptr<Sampler>& ahead, int64_t row) {
  const std::span<const float> logits(logits_.as<float>() + row * model_.decoder.config.vocab_size,
                                      static_cast<size_t>(model_.tokenizer->vocab_size()));
  const int64_t n_guessed = static_cast<int64_t>(task.tokens.size());
  try {
    // The answer's own sampler stays where it is: further guesses are accepted by a copy.
    if (n_guessed > 0) {
      if (ahead == nullptr) ahead = task.sampler->clone();
      ahead->accept(task.tokens.back());
    }
    Sampler& sampler = n_guessed > 0 ? *ahead : *task.sampler;
    task.tokens.push_back(sampler.guess(logits, task.session->position() + 1 + n_guessed));
    return true;
  } catch (const Error&) {
    return false;  // a grammar that leaves no token here, or logits that are no numbers
  }
}

void MtpDrafter::draft_batch(std::span<DraftTask* const> tasks) {
  const ModelConfig& config = model_.decoder.config;
  std::vector<Guess> guesses;
  for (DraftTask* task : tasks) {
    const DraftHistory& history = task->session->drafts;
    guesses.push_back({task, tokens_behind(*task->session, history.n_states(), task->last_token),
                       history.states(), history.n_rows()});
  }
  run(guesses, Phase::kDecode, /*wants_logits=*/true);
  for (DraftTask* task : tasks)
    task->session->drafts.made_rows(task->session->drafts.n_states(), config.hidden_size);

  std::vector<std::unique_ptr<Sampler>> ahead(tasks.size());
  for (;;) {
    std::vector<Guess> next;
    for (size_t row = 0; row < guesses.size(); ++row) {
      DraftTask& task = *guesses[row].task;
      const auto index = static_cast<size_t>(std::find(tasks.begin(), tasks.end(), &task) - tasks.begin());
      if (!guess(task, ahead[index], static_cast<int64_t>(row))) continue;
      const int64_t n_guessed = static_cast<int64_t>(task.tokens.size());
      if (n_guessed >= task.n_wanted) continue;
      // A guess's own row lies behind those that count: the next draft overwrites it.
      next.push_back({&task,
                      {task.tokens.back()},
                      own_.as<float>() + static_cast<int64_t>(row) * config.hidden_size,
                      task.session->drafts.n_rows() + n_guessed - 1});
    }
    if (next.empty()) return;
    guesses = std::move(next);
    run(guesses, Phase::kDecode, /*wants_logits=*/true);
  }
}

void MtpDrafter::draft(std::span<DraftTask> tasks) {
  std::vector<DraftTask*> batch;
  int64_t n_rows = 0;
  for (DraftTask& task : tasks) {
    const DraftHistory& history = task.session->drafts;
    const bool is_current = history.first_state() + history.n_states() == task.session->position();
    if (history.n_states() == 0 || !is_current || task.n_wanted < 1) continue;
    if (history.n_states() > max_rows_) absorb(*task.session);
    if (n_rows + history.n_states() > max_rows_) {
      draft_batch(batch);
      batch.clear();
      n_rows = 0;
    }
    batch.push_back(&task);
    n_rows += history.n_states();
  }
  if (!batch.empty()) draft_batch(batch);
}

}  // namespace moebius
