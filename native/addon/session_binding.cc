// Sessions apart from generating: create, look at, evaluate whole texts, save, close.
#include <cstring>
#include <limits>

#include "addon/addon_data.h"
#include "addon/arguments.h"
#include "addon/bindings.h"
#include "addon/conversions.h"
#include "addon/promise_task.h"
#include "base/error.h"
#include "engine/engine.h"

namespace moebius::addon {
namespace {

// Records kept between two drains; only the last of each phase is shown.
constexpr int64_t kRingTokens = 256;
// JavaScript's heap and all its buffers share 4 GB inside Electron; a window of 512 tokens over
// the largest vocabularies takes 0.5 GiB.
constexpr uint64_t kMaxLogitBytes = uint64_t{1536} << 20;

Call session_call(Napi::Env env, const std::shared_ptr<SessionState>& state, const Napi::Value& cancel) {
  Call call(env);
  call.cancel = claim_cancel(cancel, "cancel");
  call.session = state;
  return call;
}

// Runs the tokens through the emptied session; its observer is set by the caller. On failure
// the session keeps the chunks that were finished.
Logits evaluate_from_start(Session& session, std::span<const int32_t> tokens, const CancelFlag& cancel,
                           WantLogits want_logits) {
  if (cancel.is_requested()) throw Error(ErrorCode::kCancelled, "cancelled before the first step");
  session.truncate(0);
  EvaluateOptions options;
  options.want_logits = want_logits;
  options.cancel = &cancel.requested();
  return session.evaluate(tokens, options);
}

// [n_layers, n_active] of the phase's newest record; 0xFFFF and 0 where there is none.
Napi::Object phase_to_js(Napi::Env env, const RoutingDrain& drain, Phase phase, const RoutingSeries& series,
                         uint64_t first_token) {
  const size_t n_slots = static_cast<size_t>(drain.n_moe_layers * drain.n_active_experts);
  std::vector<uint16_t> ids(n_slots, 0xFFFF);
  std::vector<float> weights(n_slots, 0.0f);
  for (auto record = drain.records.rbegin(); record != drain.records.rend(); ++record) {
    if (record->phase != phase || record->expert_ids.size() != n_slots) continue;
    ids = record->expert_ids;
    weights = record->routing_weights;
    break;
  }
  return ObjectWriter(env)
      .set("prefill", phase == Phase::kPrefill)
      .set("nTokens", series.n_tokens)
      .set("firstToken", first_token)
      .set("lastIds", to_js(env, std::span<const uint16_t>(ids)))
      .set("lastWeights", to_js(env, std::span<const float>(weights)))
      .set("count", to_js(env, std::span<const uint32_t>(series.counts)))
      .object();
}

}  // namespace

Napi::Value create_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto model = unwrap_open_model(info[0]);
  SessionOptions options;
  options.max_seq_len = read_integer(info[1], "maxSeqLen", 0, int64_t{1} << 31);
  options.cache_format = cache_format_by_name(read_string(info[2], "cacheFormat"));

  auto state = std::make_shared<SessionState>();
  state->model = model;
  state->session = Session::create(model->model, options);
  const ModelInfo& shape = model->model->info();
  const std::vector<int64_t> moe_layers = model->model->moe_layers();
  if (!moe_layers.empty()) {
    state->trace =
        std::make_shared<RoutingTrace>(moe_layers, shape.n_routed_experts, shape.n_active_experts, kRingTokens);
    state->observer = std::make_shared<SessionObserver>(state->trace);
  }
  model->sessions.add(state);
  return make_handle(env, kSessionTag, std::move(state), AddonData::of(env).runner());
}

Napi::Value session_info(const Napi::CallbackInfo& info) {
  const auto state = unwrap_open_session(info[0]);
  return ObjectWriter(info.Env())
      .set("seqLen", state->session->position())
      .set("maxSeqLen", state->session->options().max_seq_len)
      .set("busy", state->running != nullptr)
      .set("cacheFormat", cache_format_name(state->session->options().cache_format))
      .set("cacheBytesTotal", state->session->cache_bytes_total())
      .object();
}

Napi::Value truncate_session(const Napi::CallbackInfo& info) {
  const auto state = unwrap_idle_session(info[0]);
  state->session->truncate(read_integer(info[1], "seqLen", 0, state->session->position()));
  return info.Env().Undefined();
}

Napi::Value session_logits(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap_idle_session(info[0]);
  const auto tokens = read_tokens(info[1], "tokens");
  const size_t vocab_size = static_cast<size_t>(state->model->model->info().vocab_size);
  const size_t n_values = tokens.size() * vocab_size;
  if (n_values * sizeof(float) > kMaxLogitBytes) {
    throw Error(ErrorCode::kBadRequest,
                format_text("the logits of %zu tokens over a vocabulary of %zu do not fit into %llu MiB", tokens.size(),
                            vocab_size, static_cast<unsigned long long>(kMaxLogitBytes >> 20)),
                format_text("Ask for at most %llu tokens at a time.",
                            static_cast<unsigned long long>(kMaxLogitBytes / sizeof(float) / vocab_size)));
  }
  Call call = session_call(env, state, info[2]);
  // The worker fills memory that JavaScript allocated, so the event loop copies nothing.
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, n_values * sizeof(float));
  call.buffer = Napi::Persistent(buffer.As<Napi::Object>());
  float* const target = static_cast<float*>(buffer.Data());
  const auto work = [state, tokens, target, cancel = call.cancel] {
    state->install_observer();
    if (state->observer) state->observer->look_away();
    const Logits logits = evaluate_from_start(*state->session, tokens, *cancel, WantLogits::kAll);
    for (int64_t row = 0; row < logits.n_rows(); ++row) {
      const std::span<const float> values = logits.row(row);
      std::memcpy(target + row * logits.vocab_size(), values.data(), values.size_bytes());
    }
    return true;
  };
  return run_task<bool>(env, std::move(call), work, [n_values](Napi::Env convert_env, const Call& ended, bool&) {
    return Napi::Float32Array::New(convert_env, n_values, ended.buffer.Value().As<Napi::ArrayBuffer>(), 0);
  });
}

Napi::Value session_route(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap_idle_session(info[0]);
  const auto tokens = read_tokens(info[1], "tokens");
  const std::vector<int64_t> layers = state->model->model->moe_layers();
  if (layers.empty()) throw Error(ErrorCode::kUnsupported, "the model is dense: it has no router");
  Call call = session_call(env, state, info[2]);
  const auto work = [state, tokens, layers, cancel = call.cancel] {
    state->install_observer();
    state->observer->start_collecting(layers);
    evaluate_from_start(*state->session, tokens, *cancel, WantLogits::kNone);
    return state->observer->take_collected();
  };
  return run_task<std::vector<CollectedLayer>>(
      env, std::move(call), work,
      [n_tokens = tokens.size()](Napi::Env convert_env, const Call&, std::vector<CollectedLayer>& collected) {
        const auto layer_to_js = [&](const CollectedLayer& layer) {
          return ObjectWriter(convert_env)
              .set("layer", layer.layer)
              .set("ids", to_js(convert_env, std::span<const int32_t>(layer.expert_ids)))
              .set("weights", to_js(convert_env, std::span<const float>(layer.routing_weights)))
              .object();
        };
        return ObjectWriter(convert_env)
            .set("nTokens", static_cast<uint64_t>(n_tokens))
            .set("layers", to_js_array(convert_env, collected, layer_to_js))
            .object();
      });
}

Napi::Value watch_routing(const Napi::CallbackInfo& info) {
  const auto state = unwrap_open_session(info[0]);
  state->watched = read_boolean(info[1], "watched");
  return info.Env().Undefined();
}

Napi::Value drain_routing(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap_open_session(info[0]);
  Napi::Array phases = Napi::Array::New(env);
  if (!state->trace) return phases;
  const RoutingDrain drain = state->trace->drain();
  uint32_t n_phases = 0;
  if (drain.prefill.n_tokens > 0) {
    phases.Set(n_phases++, phase_to_js(env, drain, Phase::kPrefill, drain.prefill, drain.first_token));
  }
  if (drain.decode.n_tokens > 0) {
    const uint64_t first = drain.first_token + static_cast<uint64_t>(drain.prefill.n_tokens);
    phases.Set(n_phases++, phase_to_js(env, drain, Phase::kDecode, drain.decode, first));
  }
  return phases;
}

Napi::Value save_snapshot(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap_idle_session(info[0]);
  const auto path = read_path(info[1], "path");
  const auto work = [state, path] {
    state->session->save_snapshot(path);
    return true;
  };
  return run_task<bool>(env, session_call(env, state, env.Undefined()), work,
                        [](Napi::Env convert_env, const Call&, bool&) { return convert_env.Undefined(); });
}

Napi::Value restore_snapshot(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap_idle_session(info[0]);
  const auto path = read_path(info[1], "path");
  const auto work = [state, path] {
    state->session->restore_snapshot(path);
    return true;
  };
  return run_task<bool>(env, session_call(env, state, env.Undefined()), work,
                        [](Napi::Env convert_env, const Call&, bool&) { return convert_env.Undefined(); });
}

Napi::Value close_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap<SessionState>(info[0], kSessionTag, "session", "session");
  if (!state->closed && !state->model->closed) AddonData::of(env).close_session(state);
  return env.Undefined();
}

}  // namespace moebius::addon
