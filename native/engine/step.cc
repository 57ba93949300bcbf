#include "engine/step.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace moebius {

namespace {

struct BatchParts {
  std::vector<int32_t> token_ids;
  std::vector<BatchSpan> spans;
  std::vector<int64_t> logit_rows;
};

void want_rows(WantLogits want, int64_t first, int64_t n, std::vector<int64_t>& rows) {
  if (want == WantLogits::kNone) return;
  for (int64_t row = want == WantLogits::kAll ? 0 : n - 1; row < n; ++row) rows.push_back(first + row);
}

BatchParts gather(std::span<const StepPart> parts) {
  BatchParts batch;
  for (const StepPart& part : parts) {
    BatchSpan span;
    span.first_row = static_cast<int64_t>(batch.token_ids.size());
    span.n_rows = static_cast<int64_t>(part.tokens.size());
    span.n_past = part.session->position();
    span.cache = part.session->cache.get();
    span.routing_observer = part.session->routing_observer.get();
    batch.spans.push_back(span);
    batch.token_ids.insert(batch.token_ids.end(), part.tokens.begin(), part.tokens.end());
    want_rows(part.want_logits, span.first_row, span.n_rows, batch.logit_rows);
  }
  return batch;
}

void announce(std::span<const StepPart> parts, Phase phase) {
  for (const StepPart& part : parts) {
    if (part.session->routing_observer == nullptr) continue;
    RoutingStep step;
    step.phase = phase;
    step.n_tokens = static_cast<int64_t>(part.tokens.size());
    step.token_ids = part.tokens.data();
    step.first_position = part.session->position();
    part.session->routing_observer->step_begins(step);
  }
}

// Which drafts count is known later: the observer hears it from close_step().
void conclude(std::span<const StepPart> parts, bool succeeded) {
  for (const StepPart& part : parts) {
    Session::State& session = *part.session;
    if (succeeded && part.n_drafts > 0)
      session.open_observer = session.routing_observer;
    else if (session.routing_observer != nullptr)
      session.routing_observer->step_ends(succeeded ? static_cast<int64_t>(part.tokens.size()) : 0);
  }
}

// Hands the rows after the final norm to the parts that asked for theirs.
HiddenObserver final_hidden_copier(const ModelConfig& config, std::span<const StepPart> parts,
                                   const HiddenObserver* next) {
  return [&config, parts, next](int64_t index, const float* rows, int64_t n_tokens) {
    if (next != nullptr && *next) (*next)(index, rows, n_tokens);
    if (index != config.n_layers) return;
    for (const StepPart& part : parts) {
      const int64_t n = static_cast<int64_t>(part.tokens.size()) * config.hidden_size;
      if (part.final_hidden != nullptr) std::copy_n(rows, n, part.final_hidden);
      rows += n;
    }
  };
}

}  // namespace

OpContext Model::State::begin_step(Phase phase) {
  scratch.reset();
  OpContext op;
  op.kernels = &backend->kernels();
  op.kernel.pool = pool.get();
  op.kernel.scratch = &scratch;
  op.kernel.phase = phase;
  op.kernel.exact = exact;
  op.kernel.thresholds = &thresholds;
  op.kernel.bf16_attention = bf16_attention;
  return op;
}

void run_step(Model::State& model, std::span<const StepPart> parts, const StepOptions& options,
              float* logits) {
  const std::lock_guard<std::mutex> lock(model.step_mutex);
  OpContext op = model.begin_step(options.phase);
  const BatchParts rows = gather(parts);
  Batch batch;
  batch.token_ids = rows.token_ids;
  batch.spans = rows.spans;
  batch.logit_rows = rows.logit_rows;
  batch.mla_form = options.mla_form;
  batch.cancel = options.cancel;
  const bool copies_hidden =
      std::any_of(parts.begin(), parts.end(), [](const StepPart& part) { return part.final_hidden != nullptr; });
  const HiddenObserver copier =
      copies_hidden ? final_hidden_copier(model.decoder.config, parts, options.hidden_observer) : HiddenObserver{};
  batch.hidden_observer = copies_hidden ? &copier : options.hidden_observer;
  const int64_t vocab_size = model.decoder.config.vocab_size;
  announce(parts, options.phase);
  try {
    forward(model.decoder, op, batch,
            {logits, static_cast<int64_t>(rows.logit_rows.size()), vocab_size, vocab_size});
  } catch (...) {
    conclude(parts, /*succeeded=*/false);
    throw;
  }
  for (const StepPart& part : parts)
    part.session->append(part.tokens.first(part.tokens.size() - static_cast<size_t>(part.n_drafts)));
  conclude(parts, /*succeeded=*/true);
}

void keep_draft(Session::State& session, int32_t token) { session.append({&token, 1}); }

void close_step(Session::State& session, int64_t n_rows) {
  const std::shared_ptr<RoutingObserver> observer = std::exchange(session.open_observer, nullptr);
  if (observer != nullptr) observer->step_ends(n_rows);
}

void check_token_ids(const Model::State& model, std::span<const int32_t> tokens) {
  const int64_t vocab_size = model.decoder.config.vocab_size;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocab_size)
      throw Error(ErrorCode::kBadRequest, format_text("token %zu: expected an id in [0, %lld), got %d", i,
                                                      static_cast<long long>(vocab_size), tokens[i]));
}

void check_room(const Session::State& session, int64_t position, int64_t n) {
  if (position + n <= session.options.max_seq_len) return;
  throw Error(ErrorCode::kContextLength,
              format_text("%lld tokens behind position %lld do not fit a context length of %lld",
                          static_cast<long long>(n), static_cast<long long>(position),
                          static_cast<long long>(session.options.max_seq_len)),
              "Shorten the prompt or open the session with a larger context length.");
}

}  // namespace moebius
