#include "engine/generation.h"

#include <algorithm>
#include <utility>

#include "engine/step.h"

namespace moebius {

namespace {

// An empty request reaches the members before the constructor's body can refuse it.
GenerateRequest checked(const Model::State& model, GenerateRequest request) {
  if (request.session == nullptr) throw Error(ErrorCode::kBadRequest, "the request names no session");
  if (&request.session->state().model_state() != &model)
    throw Error(ErrorCode::kBadRequest, "the session belongs to another model");
  if (request.prompt.empty()) throw Error(ErrorCode::kBadRequest, "the prompt needs at least one token");
  check_token_ids(model, request.prompt);
  check_room(request.session->state(), 0, static_cast<int64_t>(request.prompt.size()));
  const int64_t n_drafts = request.draft.n_tokens;
  if (n_drafts < 1 || n_drafts > DraftSettings::kMaxTokens)
    throw Error(ErrorCode::kBadRequest,
                format_text("draft tokens: expected 1 to %lld, got %lld",
                            static_cast<long long>(DraftSettings::kMaxTokens), static_cast<long long>(n_drafts)));
  return request;
}

DecodeOptions decode_options(bool print_special) {
  DecodeOptions options;
  options.skip_special = !print_special;
  options.remove_space_prefix = false;
  return options;
}

}  // namespace

Generation::Generation(uint64_t id, const Model::State& model, GenerateRequest request)
    : id_(id),
      model_(model),
      request_(checked(model, std::move(request))),
      sampler_(request_.sampler, model.tokenizer->vocab_size(), model.token_table,
               std::move(request_.constraint)),
      decoder_(*model.tokenizer, decode_options(request_.print_special)),
      draft_rule_(request_.draft.mode, request_.draft.drafter != nullptr || model.decoder.config.n_mtp_layers > 0),
      submitted_(Clock::now()) {
  use_.emplace(request_.session->state());
  sampler_.accept_prompt(request_.prompt);
  stats_.prompt_tokens = static_cast<int64_t>(request_.prompt.size());
}

double Generation::ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void Generation::begin() {
  begun_ = true;
  started_ = Clock::now();
  stats_.queue_ms = std::chrono::duration<double, std::milli>(started_ - submitted_).count();
  Session::State& session = this->session();
  const auto n = std::min(session.tokens.size(), request_.prompt.size());
  const auto same =
      std::mismatch(request_.prompt.begin(), request_.prompt.begin() + static_cast<std::ptrdiff_t>(n),
                    session.tokens.begin());
  // The last prompt token is always evaluated: its logits choose the first new one.
  n_prompt_done_ = std::min<int64_t>(same.first - request_.prompt.begin(), stats_.prompt_tokens - 1);
  session.resize(n_prompt_done_);
  stats_.cached_tokens = n_prompt_done_;
}

std::span<const int32_t> Generation::next_chunk() const {
  const int64_t chunk =
      next_prefill_rows(stats_.prompt_tokens - n_prompt_done_, request_.session->options().prefill_chunk);
  return {request_.prompt.data() + n_prompt_done_, static_cast<size_t>(chunk)};
}

bool Generation::chunk_is_last() const {
  return n_prompt_done_ + static_cast<int64_t>(next_chunk().size()) == stats_.prompt_tokens;
}

Phase Generation::prompt_phase() const {
  return stats_.prompt_tokens - stats_.cached_tokens == 1 ? Phase::kDecode : Phase::kPrefill;
}

void Generation::chunk_done(int64_t n_tokens) {
  if (collects_hidden()) session().drafts.keep_states(n_tokens);
  n_prompt_done_ += n_tokens;
  stats_.prompt_ms = ms_since(started_);
  if (request_.on_prompt_progress)
    request_.on_prompt_progress(
        {n_prompt_done_, stats_.prompt_tokens, stats_.cached_tokens, stats_.prompt_ms});
}

bool Generation::is_stop(int32_t id) const {
  if (std::find(request_.stop_ids.begin(), request_.stop_ids.end(), id) != request_.stop_ids.end())
    return true;
  return request_.stop_at_end_of_generation && model_.tokenizer->is_end_of_generation(id);
}

void Generation::take_logits(std::span<const float> logits, double step_ms) {
  if (request_.max_tokens == 0) return end(EndReason::kLength);
  // Rows the tokenizer does not know are padding and never chosen.
  const auto known = logits.first(static_cast<size_t>(model_.tokenizer->vocab_size()));
  const SampledToken token = sampler_.sample(known, session().position());
  if (is_stop(token.id)) return end(EndReason::kStop, token.id);
  sampler_.accept(token.id);
  pending_token_ = token.id;
  report(token, step_ms);
  const bool has_room = session().position() < session().options.max_seq_len;
  if (stats_.generated_tokens == request_.max_tokens || !has_room) end(EndReason::kLength);
}

bool Generation::collects_hidden() const {
  return own_drafter() == nullptr && draft_rule_.can_ever_draft();
}

float* Generation::hidden_room(int64_t n_rows) {
  if (!collects_hidden()) return nullptr;
  return session().drafts.take_room(session().position(), n_rows, model_.decoder.config.hidden_size);
}

int64_t Generation::drafts_wanted() const {
  if (!draft_rule_.wants_drafts()) return 0;
  const Session::State& session = request_.session->state();
  int64_t n = std::min(request_.draft.n_tokens, session.options.max_seq_len - session.position() - 1);
  if (request_.max_tokens >= 0) n = std::min(n, request_.max_tokens - stats_.generated_tokens - 1);
  return std::max<int64_t>(n, 0);
}

DraftTask Generation::draft_task(int64_t n_wanted) {
  asked_for_drafts_ = true;
  return {&session(), pending_token_, &sampler_, n_wanted, {}};
}

void Generation::set_drafts(std::span<const int32_t> tokens) {
  step_tokens_.assign(1, pending_token_);
  for (const int32_t id : tokens) {
    if (id < 0 || id >= model_.decoder.config.vocab_size) break;
    step_tokens_.push_back(id);
  }
}

StepPart Generation::decode_part() {
  if (step_tokens_.empty()) step_tokens_.push_back(pending_token_);
  StepPart part{&session(), step_tokens_, WantLogits::kAll};
  part.n_drafts = static_cast<int64_t>(step_tokens_.size()) - 1;
  part.final_hidden = hidden_room(static_cast<int64_t>(step_tokens_.size()));
  return part;
}

void Generation::take_step(const float* logits, double ms) {
  const size_t vocab_size = static_cast<size_t>(model_.decoder.config.vocab_size);
  const std::vector<int32_t> tokens = std::exchange(step_tokens_, {});
  n_step_drafts_ = static_cast<int64_t>(tokens.size()) - 1;
  n_step_accepted_ = 0;
  n_open_rows_ = 1;
  stats_.draft.steps += n_step_drafts_ > 0;
  stats_.draft.drafted += n_step_drafts_;
  for (size_t row = 0;; ++row) {
    take_logits({logits + row * vocab_size, vocab_size}, row == 0 ? ms : 0);
    if (ended_) return;
    if (row + 1 == tokens.size() || pending_token_ != tokens[row + 1] || cancelled_.load()) break;
    keep_draft(session(), pending_token_);
    ++n_open_rows_;
    ++n_step_accepted_;
    ++stats_.draft.accepted;
  }
  settle_step();
}

// The observer and the draft layer learn which rows count before anyone hears of the end.
void Generation::settle_step() {
  if (n_open_rows_ == 0) return;
  close_step(session(), n_open_rows_);
  if (collects_hidden()) session().drafts.keep_states(n_open_rows_);
  n_open_rows_ = 0;
}

void Generation::measured(double ms, int64_t n_requests) {
  // A step that asked for drafts and got none is neither kind.
  if (asked_for_drafts_ == (n_step_drafts_ > 0)) draft_rule_.add_step(ms, n_requests, n_step_drafts_, n_step_accepted_);
  asked_for_drafts_ = false;
}

void Generation::report(const SampledToken& token, double step_ms) {
  if (stats_.generated_tokens == 0) {
    first_token_ = Clock::now();
    stats_.first_token_ms = ms_since(submitted_);
  }
  TokenEvent event;
  event.index = stats_.generated_tokens++;
  event.position = session().position();
  event.id = token.id;
  event.text = decoder_.push(token.id);
  event.logprob = token.logprob;
  event.top = token.top;
  event.ms = step_ms;
  stats_.decode_ms = ms_since(first_token_);
  if (request_.on_token) request_.on_token(event);
}

void Generation::end(EndReason reason, int32_t stop_id) {
  GenerateEnd event;
  event.reason = reason;
  event.stop_id = stop_id;
  finish(event);
}

void Generation::end_with_error(const Error& error) {
  GenerateEnd event;
  event.reason = error.code() == ErrorCode::kCancelled ? EndReason::kCancelled : EndReason::kError;
  event.error_code = error.code();
  event.error_message = error.what();
  if (!error.hint().empty()) event.error_message += " " + error.hint();
  finish(event);
}

void Generation::finish(GenerateEnd& end) {
  if (ended_) return;
  ended_ = true;
  settle_step();
  session().drafts.trim(model_.decoder.config.hidden_size);
  use_.reset();
  stats_.draft.is_on = draft_rule_.is_on();
  stats_.draft.reason = draft_rule_.reason();
  stats_.draft.predicted_speedup = draft_rule_.predicted_speedup();
  end.text = decoder_.flush();
  end.stats = stats_;
  if (request_.on_end) request_.on_end(end);
}

}  // namespace moebius
