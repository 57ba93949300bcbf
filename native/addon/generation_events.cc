#include "addon/generation_events.h"

#include <utility>

#include "addon/addon_data.h"
#include "addon/conversions.h"
#include "base/error.h"

namespace moebius::addon {
namespace {

Napi::Object draft_to_js(Napi::Env env, const DraftStats& draft) {
  return ObjectWriter(env)
      .set("isOn", draft.is_on)
      .set("reason", draft_reason_name(draft.reason))
      .set("steps", draft.steps)
      .set("drafted", draft.drafted)
      .set("accepted", draft.accepted)
      .set("predictedSpeedup", draft.predicted_speedup)
      .object();
}

}  // namespace

void GenerationEvents::prompt_progress(const PromptProgress& progress) {
  {
    std::lock_guard lock(mutex_);
    pending_.progress = progress;
  }
  pump_->announce(shared_from_this(), /*urgent=*/false);
}

void GenerationEvents::token(const TokenEvent& token) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    pending_.tokens.push_back(token);
    first = !std::exchange(had_token_, true);
  }
  pump_->announce(shared_from_this(), /*urgent=*/first);
}

void GenerationEvents::end(const GenerateEnd& end) {
  {
    std::lock_guard lock(mutex_);
    pending_.end = end;
  }
  pump_->announce(shared_from_this(), /*urgent=*/true);
}

void GenerationEvents::fail(const Failure& failure) {
  {
    std::lock_guard lock(mutex_);
    pending_.failure = failure;
  }
  pump_->announce(shared_from_this(), /*urgent=*/true);
}

void GenerationEvents::deliver(Napi::Env env) {
  AddonData& data = AddonData::of(env);
  Call* const call = data.find_call(call_id_);
  if (call == nullptr) return;
  Pending pending;
  {
    std::lock_guard lock(mutex_);
    pending = std::exchange(pending_, {});
  }
  if (pending.progress || !pending.tokens.empty()) {
    try {
      call->callback.Call({batch_to_js(env, pending)});
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env, error.Value());  // the promise must settle all the same
    }
  }
  if (!pending.end && !pending.failure) return;
  const Call ended = data.end_call(call_id_);
  if (pending.failure) {
    reject(env, ended.deferred, *pending.failure);
  } else if (pending.end->reason == EndReason::kError) {
    reject(env, ended.deferred, {error_code_name(pending.end->error_code), pending.end->error_message, ""});
  } else {
    ended.deferred.Resolve(end_to_js(env, *pending.end));
  }
}

Napi::Object GenerationEvents::batch_to_js(Napi::Env env, const Pending& pending) {
  ObjectWriter writer(env);
  if (pending.progress) {
    writer.set("progress", ObjectWriter(env)
                               .set("tokensDone", pending.progress->tokens_done)
                               .set("tokensTotal", pending.progress->tokens_total)
                               .set("tokensCached", pending.progress->tokens_cached)
                               .object());
  }
  writer.set("tokens", to_js_array(env, pending.tokens, [&](const TokenEvent& token) {
    const auto probability_to_js = [&](const TokenProbability& item) {
      return ObjectWriter(env).set("id", item.id).set("logprob", static_cast<double>(item.logprob)).object();
    };
    ObjectWriter event(env);
    event.set("id", token.id).set("position", token.position).set("text", token.text);
    if (token.logprob) event.set("logprob", static_cast<double>(*token.logprob));
    return event.set("top", to_js_array(env, token.top, probability_to_js)).object();
  }));
  return writer.object();
}

Napi::Object GenerationEvents::end_to_js(Napi::Env env, const GenerateEnd& end) {
  return ObjectWriter(env)
      .set("reason", end_reason_name(end.reason))
      .set("stopId", end.stop_id)
      .set("trailingText", end.text)
      .set("promptTokens", end.stats.prompt_tokens)
      .set("cachedTokens", end.stats.cached_tokens)
      .set("generatedTokens", end.stats.generated_tokens)
      .set("queueMs", end.stats.queue_ms)
      .set("promptMs", end.stats.prompt_ms)
      .set("decodeMs", end.stats.decode_ms)
      .set("firstTokenMs", end.stats.first_token_ms)
      .set("draft", draft_to_js(env, end.stats.draft))
      .object();
}

}  // namespace moebius::addon
