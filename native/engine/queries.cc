// One-shot questions to a model, each on a fresh session: for tests, scripts and the command
// line.
#include <algorithm>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/model_state.h"
#include "engine/step.h"

namespace moebius {

namespace {

std::shared_ptr<Session> fresh_session(const std::shared_ptr<Model>& model, size_t n_tokens) {
  SessionOptions options;
  options.max_seq_len = std::max<int64_t>(static_cast<int64_t>(n_tokens), 1);
  options.cache_format = CacheFormat::kF32;
  if (options.max_seq_len > model->info().max_seq_len)
    throw Error(ErrorCode::kContextLength,
                format_text("%zu tokens do not fit the model's context length of %lld", n_tokens,
                            static_cast<long long>(model->info().max_seq_len)));
  return Session::create(model, options);
}

// Appends the rows of every step to the arrays of a RouteResult.
class RouteCollector final : public RoutingObserver {
 public:
  explicit RouteCollector(RouteResult& result) : result_(result) {}
  void step_begins(const RoutingStep& step) override { first_ = step.first_position; }
  void layer_routed(const RoutingBatch& batch) override {
    const int64_t row = batch.moe_layer * result_.n_tokens + first_;
    const auto copy = [&](auto& to, const auto* from, int64_t per_token) {
      std::copy_n(from, batch.n_tokens * per_token, to.begin() + row * per_token);
    };
    copy(result_.expert_ids, batch.expert_ids, result_.n_active_experts);
    copy(result_.routing_weights, batch.routing_weights, result_.n_active_experts);
    if (!result_.router_logits.empty())
      copy(result_.router_logits, batch.router_logits, result_.n_routed_experts);
  }

 private:
  RouteResult& result_;
  int64_t first_ = 0;
};

}  // namespace

Logits logits(const std::shared_ptr<Model>& model, std::span<const int32_t> tokens) {
  EvaluateOptions options;
  options.want_logits = WantLogits::kAll;
  return fresh_session(model, tokens.size())->evaluate(tokens, options);
}

RouteResult route(const std::shared_ptr<Model>& model, std::span<const int32_t> tokens,
                  bool with_router_logits) {
  const ModelConfig& config = model->state().decoder.config;
  if (!config.is_moe) throw Error(ErrorCode::kUnsupported, "this model has no experts to route to");
  RouteResult result;
  result.layers = model->moe_layers();
  result.n_tokens = static_cast<int64_t>(tokens.size());
  result.n_active_experts = config.moe.n_active_experts;
  result.n_routed_experts = config.moe.n_routed_experts;
  const size_t rows = result.layers.size() * tokens.size();
  result.expert_ids.resize(rows * static_cast<size_t>(result.n_active_experts));
  result.routing_weights.resize(result.expert_ids.size());
  if (with_router_logits) result.router_logits.resize(rows * static_cast<size_t>(result.n_routed_experts));
  const std::shared_ptr<Session> session = fresh_session(model, tokens.size());
  session->set_routing_observer(std::make_shared<RouteCollector>(result));
  EvaluateOptions options;
  options.want_logits = WantLogits::kNone;
  session->evaluate(tokens, options);
  return result;
}

Logits mtp_logits(const std::shared_ptr<Model>& model, std::span<const int32_t> tokens) {
  Model::State& state = model->state();
  const ModelConfig& config = state.decoder.config;
  if (config.n_mtp_layers == 0)
    throw Error(ErrorCode::kUnsupported, "this model has no multi-token-prediction layer");
  const int64_t n_rows = std::max<int64_t>(static_cast<int64_t>(tokens.size()) - 1, 0);
  Logits logits(n_rows, config.vocab_size);
  if (n_rows == 0) return logits;

  const std::shared_ptr<Session> session = fresh_session(model, tokens.size());
  PageBuffer final_hidden(tokens.size() * static_cast<size_t>(config.hidden_size) * sizeof(float));
  int64_t row = 0;
  EvaluateOptions options;
  options.want_logits = WantLogits::kNone;
  options.hidden_observer = [&](int64_t index, const float* rows, int64_t n_tokens) {
    if (index != config.n_layers) return;
    std::copy_n(rows, n_tokens * config.hidden_size, final_hidden.as<float>() + row * config.hidden_size);
    row += n_tokens;
  };
  session->evaluate(tokens, options);

  const std::lock_guard<std::mutex> lock(state.step_mutex);
  OpContext op = state.begin_step(Phase::kPrefill);
  BatchSpan span;
  span.n_rows = n_rows;
  span.cache = session->state().cache.get();
  std::vector<int64_t> all_rows(static_cast<size_t>(n_rows));
  for (size_t i = 0; i < all_rows.size(); ++i) all_rows[i] = static_cast<int64_t>(i);
  Batch batch;
  batch.token_ids = tokens.subspan(1);
  batch.spans = {&span, 1};
  batch.logit_rows = all_rows;
  const Rows hidden{final_hidden.as<float>(), n_rows, config.hidden_size, config.hidden_size};
  forward_mtp(state.decoder, op, batch, hidden,
              {logits.row(0).data(), n_rows, config.vocab_size, config.vocab_size});
  return logits;
}

}  // namespace moebius
