// Generating: a request goes to the model's scheduler, its events come back in batches.
#include <limits>

#include "addon/addon_data.h"
#include "addon/arguments.h"
#include "addon/bindings.h"
#include "addon/generation_events.h"
#include "addon/promise_task.h"
#include "base/error.h"
#include "engine/constraint.h"
#include "engine/engine.h"

namespace moebius::addon {
namespace {

constexpr double kFloatMax = 1e30;
constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

// A request as plain values; the constraint is compiled on the worker.
struct GenerateArguments {
  std::vector<int32_t> tokens;
  int64_t max_tokens = -1;
  SamplerSettings sampler;
  std::vector<int32_t> stop_ids;
  bool stop_at_end_of_generation = true;
  bool print_special = false;
  DraftSettings draft;
  std::string grammar;
  std::string json_schema;
};

float read_float(ObjectReader& reader, const char* key, double min, double max) {
  return static_cast<float>(reader.number(key, min, max));
}

void read_truncation(ObjectReader& reader, SamplerSettings& settings) {
  settings.temperature = read_float(reader, "temperature", 0, 100);
  settings.sampling_top_k = static_cast<int32_t>(reader.integer("samplingTopK", 0, kInt32Max));
  settings.top_p = read_float(reader, "topP", 0, 1);
  settings.min_p = read_float(reader, "minP", 0, 1);
  settings.typical_p = read_float(reader, "typicalP", 0, 1);
  settings.top_n_sigma = read_float(reader, "topNSigma", 0, kFloatMax);
  settings.xtc_probability = read_float(reader, "xtcProbability", 0, 1);
  settings.xtc_threshold = read_float(reader, "xtcThreshold", 0, 1);
  settings.mirostat = reader.boolean("mirostat");
  settings.mirostat_tau = read_float(reader, "mirostatTau", 0, kFloatMax);
  settings.mirostat_eta = read_float(reader, "mirostatEta", 0, kFloatMax);
}

void read_penalties(ObjectReader& reader, SamplerSettings& settings) {
  settings.repeat_penalty = read_float(reader, "repeatPenalty", 0, 100);
  settings.repeat_last_n = static_cast<int32_t>(reader.integer("repeatLastN", -1, kInt32Max));
  settings.frequency_penalty = read_float(reader, "frequencyPenalty", -100, 100);
  settings.presence_penalty = read_float(reader, "presencePenalty", -100, 100);
  settings.dry_multiplier = read_float(reader, "dryMultiplier", 0, kFloatMax);
  settings.dry_base = read_float(reader, "dryBase", 0, kFloatMax);
  settings.dry_allowed_length = static_cast<int32_t>(reader.integer("dryAllowedLength", 0, kInt32Max));
  settings.dry_penalty_last_n = static_cast<int32_t>(reader.integer("dryPenaltyLastN", -1, kInt32Max));
}

void read_logit_bias(ObjectReader& reader, SamplerSettings& settings) {
  const std::vector<int32_t> ids = read_tokens(reader.value("logitBiasIds"), reader.path_of("logitBiasIds"));
  const Napi::Value biases = reader.value("logitBiases");
  const std::string name = reader.path_of("logitBiases");
  if (!biases.IsTypedArray() || biases.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array ||
      biases.As<Napi::TypedArray>().ElementLength() != ids.size()) {
    throw Error(ErrorCode::kBadRequest, "argument '" + name + "' must be a Float32Array as long as logitBiasIds");
  }
  const Napi::Float32Array values = biases.As<Napi::Float32Array>();
  for (size_t i = 0; i < ids.size(); ++i) settings.logit_bias.emplace_back(ids[i], values[i]);
}

void read_order(ObjectReader& reader, SamplerSettings& settings) {
  const Napi::Value order = reader.value("order");
  if (!order.IsArray()) {
    throw Error(ErrorCode::kBadRequest, "argument '" + reader.path_of("order") + "' must be an array of stage names");
  }
  const Napi::Array names = order.As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    settings.order.push_back(read_string(names.Get(i), reader.path_of("order") + "[" + std::to_string(i) + "]"));
  }
}

GenerateArguments read_request(const Napi::Value& value) {
  ObjectReader reader(value, "request");
  GenerateArguments request;
  request.tokens = read_tokens(reader.value("tokens"), "request.tokens");
  request.max_tokens = reader.integer("maxTokens", -1, int64_t{1} << 31);
  request.stop_ids = read_tokens(reader.value("stopIds"), "request.stopIds");
  request.stop_at_end_of_generation = reader.boolean("stopAtEndOfGeneration");
  request.print_special = reader.boolean("printSpecial");
  request.draft.mode = draft_mode_by_name(reader.string("draftMode").c_str());
  request.draft.n_tokens = reader.integer("draftTokens", 1, DraftSettings::kMaxTokens);
  request.grammar = reader.string("grammar");
  request.json_schema = reader.string("jsonSchema");
  read_truncation(reader, request.sampler);
  read_penalties(reader, request.sampler);
  read_logit_bias(reader, request.sampler);
  read_order(reader, request.sampler);
  request.sampler.seed = static_cast<uint64_t>(reader.integer("seed", 0, std::numeric_limits<uint32_t>::max()));
  request.sampler.n_probs = static_cast<int32_t>(reader.integer("nProbs", 0, 1000));
  reader.finish();
  if (!request.grammar.empty() && !request.json_schema.empty()) {
    throw Error(ErrorCode::kBadRequest, "arguments 'request.grammar' and 'request.jsonSchema' exclude each other");
  }
  return request;
}

GenerateRequest make_request(const GenerateArguments& arguments, const SessionState& state,
                             const std::shared_ptr<GenerationEvents>& events) {
  GenerateRequest request;
  request.session = state.session;
  request.prompt = arguments.tokens;
  request.max_tokens = arguments.max_tokens;
  request.sampler = arguments.sampler;
  if (!arguments.grammar.empty()) request.constraint = grammar_constraint(*state.model->model, arguments.grammar);
  if (!arguments.json_schema.empty()) {
    request.constraint = json_schema_constraint(*state.model->model, arguments.json_schema);
  }
  request.stop_ids = arguments.stop_ids;
  request.stop_at_end_of_generation = arguments.stop_at_end_of_generation;
  request.print_special = arguments.print_special;
  request.draft = arguments.draft;
  request.on_prompt_progress = [events](const PromptProgress& progress) { events->prompt_progress(progress); };
  request.on_token = [events](const TokenEvent& token) { events->token(token); };
  request.on_end = [events](const GenerateEnd& end) { events->end(end); };
  return request;
}

}  // namespace

Napi::Value generate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap_idle_session(info[0]);
  auto arguments = std::make_shared<GenerateArguments>(read_request(info[1]));
  Call call(env);
  call.callback = Napi::Persistent(read_function(info[2], "onEvents"));
  call.cancel = claim_cancel(info[3], "cancel");
  call.session = state;

  AddonData& data = AddonData::of(env);
  const Napi::Promise promise = call.deferred.Promise();
  const auto cancel = call.cancel;
  const auto events = std::make_shared<GenerationEvents>(data.begin_call(std::move(call)), data.pump());
  data.runner()->submit([state, watched = state->watched, arguments = std::move(arguments), cancel, events] {
    // A failure before the scheduler has the request ends the call here; later ones come
    // through on_end.
    try {
      if (cancel->is_requested()) throw Error(ErrorCode::kCancelled, "cancelled before the first step");
      state->install_observer(watched);
      if (state->observer) state->observer->watch_live();
      Scheduler* const scheduler = state->model->scheduler.get();
      const uint64_t id = scheduler->submit(make_request(*arguments, *state, events));
      cancel->on_request([scheduler, id] { scheduler->cancel(id); });
    } catch (...) {
      events->fail(current_failure());
    }
  });
  return promise;
}

}  // namespace moebius::addon
