#include "engine/session.h"

#include <algorithm>

#include "base/error.h"
#include "engine/model_state.h"
#include "engine/step.h"

namespace moebius {

namespace {

long long number(int64_t value) { return static_cast<long long>(value); }

SessionOptions resolve(const Model::State& model, SessionOptions options) {
  const ModelConfig& config = model.decoder.config;
  if (options.max_seq_len == 0) options.max_seq_len = config.max_seq_len;
  if (options.max_seq_len < 1 || options.max_seq_len > config.max_seq_len)
    throw Error(ErrorCode::kBadRequest,
                format_text("max_seq_len: expected 1 to %lld for this model, got %lld",
                            number(config.max_seq_len), number(options.max_seq_len)));
  if (options.prefill_chunk == 0) options.prefill_chunk = default_prefill_chunk(model.info);
  if (options.prefill_chunk < 1 || options.prefill_chunk > 65536)
    throw Error(ErrorCode::kBadRequest,
                format_text("prefill_chunk: expected 1 to 65536, got %lld", number(options.prefill_chunk)));
  return options;
}

int64_t logit_rows(WantLogits want, int64_t n_tokens) {
  if (want == WantLogits::kNone || n_tokens == 0) return 0;
  return want == WantLogits::kAll ? n_tokens : 1;
}

}  // namespace

SessionUse::SessionUse(const Session::State& session) : session_(&session) {
  if (session.in_use.exchange(true))
    throw Error(ErrorCode::kBadRequest, "the session is being used by another request",
                "Cancel that request first.");
}

void SessionUse::release() {
  if (session_ != nullptr) session_->in_use.store(false);
  session_ = nullptr;
}

Logits::Logits(int64_t n_rows, int64_t vocab_size)
    : data_(static_cast<size_t>(n_rows * vocab_size) * sizeof(float)),
      n_rows_(n_rows),
      vocab_size_(vocab_size) {}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

std::shared_ptr<Session> Session::create(std::shared_ptr<Model> model, SessionOptions options) {
  auto state = std::make_unique<State>();
  if (model->state().vocabulary_only)
    throw Error(ErrorCode::kUnsupported, "only the vocabulary of this file is loaded: it cannot run");
  const ModelConfig& config = model->state().decoder.config;
  state->options = resolve(model->state(), options);
  state->cache = make_cache(config, state->options.cache_format, state->options.max_seq_len);
  state->model = std::move(model);
  return std::shared_ptr<Session>(new Session(std::move(state)));
}

const std::shared_ptr<Model>& Session::model() const { return state_->model; }
const SessionOptions& Session::options() const { return state_->options; }

int64_t Session::position() const {
  const std::lock_guard<std::mutex> lock(state_->tokens_mutex);
  return state_->position();
}

std::vector<int32_t> Session::tokens() const {
  const std::lock_guard<std::mutex> lock(state_->tokens_mutex);
  return state_->tokens;
}

uint64_t Session::cache_bytes_used() const { return state_->cache->bytes_for(position()); }
uint64_t Session::cache_bytes_total() const { return state_->cache->bytes_for(state_->options.max_seq_len); }

Logits Session::evaluate(std::span<const int32_t> tokens, const EvaluateOptions& options) {
  State& session = *state_;
  Model::State& model = session.model_state();
  const SessionUse use(session);
  check_token_ids(model, tokens);
  const int64_t n = static_cast<int64_t>(tokens.size());
  check_room(session, session.position(), n);
  Logits logits(logit_rows(options.want_logits, n), model.decoder.config.vocab_size);

  StepOptions step;
  step.phase = n == 1 ? Phase::kDecode : Phase::kPrefill;
  step.mla_form = options.mla_form;
  step.cancel = options.cancel;
  step.hidden_observer = &options.hidden_observer;
  for (int64_t done = 0; done < n;) {
    const int64_t chunk = next_prefill_rows(n - done, session.options.prefill_chunk);
    const bool is_last = done + chunk == n;
    StepPart part{&session, tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(chunk)),
                  options.want_logits};
    if (options.want_logits == WantLogits::kLast && !is_last) part.want_logits = WantLogits::kNone;
    float* out = logits.row(options.want_logits == WantLogits::kAll ? done : 0).data();
    run_step(model, {&part, 1}, step, out);
    done += chunk;
    if (options.on_progress) options.on_progress(done, n);
  }
  return logits;
}

int64_t Session::common_prefix(std::span<const int32_t> tokens) const {
  const std::lock_guard<std::mutex> lock(state_->tokens_mutex);
  const auto& mine = state_->tokens;
  const size_t n = std::min(mine.size(), tokens.size());
  return std::mismatch(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(n), tokens.begin()).first -
         mine.begin();
}

void Session::truncate(int64_t n) {
  const SessionUse use(*state_);
  if (n < 0 || n > state_->position())
    throw Error(ErrorCode::kBadRequest,
                format_text("truncate: expected 0 to %lld, got %lld", number(state_->position()), number(n)));
  state_->resize(n);
}

void Session::shift(int64_t begin, int64_t end) {
  State& session = *state_;
  const SessionUse use(session);
  Model::State& model = session.model_state();
  const std::lock_guard<std::mutex> lock(model.step_mutex);
  const int64_t n = session.position();
  if (begin < 0 || begin > end || end > n)
    throw Error(ErrorCode::kBadRequest,
                format_text("shift: expected a range within [0, %lld), got [%lld, %lld)", number(n),
                            number(begin), number(end)));
  if (begin == end) return;
  std::vector<int32_t> kept = session.tokens;
  kept.erase(kept.begin() + begin, kept.begin() + end);
  session.resize(begin);  // rows behind are not to be trusted until all are rotated
  session.drafts.clear();
  OpContext op = model.begin_step(Phase::kPrefill);
  const int64_t n_after = static_cast<int64_t>(kept.size());
  session.cache->move_down(end, n, begin);
  constexpr int64_t kRowsAtOnce = 256;
  for (int64_t row = begin; row < n_after; row += kRowsAtOnce)
    rotate_cached_keys(model.decoder, op, *session.cache, row, std::min(row + kRowsAtOnce, n_after),
                       begin - end);
  session.set_tokens(std::move(kept));
}

std::shared_ptr<Session> Session::fork(int64_t n) const { return fork(n, state_->options); }

std::shared_ptr<Session> Session::fork(int64_t n, SessionOptions options) const {
  if (options.cache_format != state_->options.cache_format)
    throw Error(ErrorCode::kBadRequest, "fork: expected the cache format of the session it copies");
  std::shared_ptr<Session> copy = create(state_->model, options);
  const ModelConfig& config = state_->model_state().decoder.config;
  if (config.uses_long_rope(copy->state_->options.max_seq_len) !=
      config.uses_long_rope(state_->options.max_seq_len))
    throw Error(ErrorCode::kBadRequest,
                "fork: these two context lengths use different rotary factors and cannot share rows");
  const SessionUse use(*state_);
  if (n < 0 || n > state_->position() || n > copy->state_->options.max_seq_len)
    throw Error(ErrorCode::kBadRequest, format_text("fork: expected 0 to %lld tokens, got %lld",
                                                    number(state_->position()), number(n)));
  copy->state_->cache->copy_from(*state_->cache, n);
  copy->state_->tokens.assign(state_->tokens.begin(), state_->tokens.begin() + n);
  copy->state_->drafts.copy_from(state_->drafts, n, config.hidden_size);
  return copy;
}

void Session::set_routing_observer(std::shared_ptr<RoutingObserver> observer) {
  const std::lock_guard<std::mutex> lock(state_->model_state().step_mutex);
  state_->routing_observer = std::move(observer);
}

}  // namespace moebius
