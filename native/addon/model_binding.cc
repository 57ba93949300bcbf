// Loading a model, its tokenizer, and closing it.
#include <limits>
#include <mutex>

#include "addon/addon_data.h"
#include "addon/arguments.h"
#include "addon/bindings.h"
#include "addon/conversions.h"
#include "addon/promise_task.h"
#include "base/error.h"
#include "engine/engine.h"
#include "engine/thresholds.h"

namespace moebius::addon {
namespace {

// The newest progress of one load; older values that nobody saw yet are dropped.
class LoadEvents final : public EventSource {
 public:
  void update(uint64_t bytes_done, uint64_t bytes_total) {
    std::lock_guard lock(mutex_);
    bytes_done_ = bytes_done;
    bytes_total_ = bytes_total;
  }

  void deliver(Napi::Env env) override {
    const Call* call = AddonData::of(env).find_call(call_id);
    if (call == nullptr || call->callback.IsEmpty()) return;
    double done = 0, total = 0;
    {
      std::lock_guard lock(mutex_);
      done = static_cast<double>(bytes_done_);
      total = static_cast<double>(bytes_total_);
    }
    call->callback.Call({Napi::Number::New(env, done), Napi::Number::New(env, total)});
  }

  uint64_t call_id = 0;  // set before the load starts

 private:
  std::mutex mutex_;
  uint64_t bytes_done_ = 0;
  uint64_t bytes_total_ = 0;
};

// Formats that are not named keep their default.
KernelThresholds read_thresholds(const Napi::Value& value, const std::string& name) {
  KernelThresholds thresholds;
  ObjectReader reader(value, name);
  ObjectReader columns(reader.value("tileColumns"), name + ".tileColumns");
  for (const auto& [format, min_columns] : tile_thresholds(thresholds))
    if (columns.has(format.c_str())) set_tile_threshold(thresholds, format, columns.integer(format.c_str(), 1, kMostTileMinColumns));
  columns.finish();
  thresholds.mla_absorbed_cost = reader.number("mlaAbsorbedCost", kLeastAbsorbedCost, kMostAbsorbedCost);
  reader.finish();
  return thresholds;
}

LoadOptions read_load_options(const Napi::Value& value) {
  ObjectReader reader(value, "options");
  LoadOptions options;
  if (reader.has("overrides")) options.overrides = read_string_map(reader.value("overrides"), "options.overrides");
  if (reader.has("backend")) options.backend = reader.string("backend");
  if (reader.has("threads")) options.n_threads = static_cast<int>(reader.integer("threads", 0, 1024));
  if (reader.has("exact")) options.exact = reader.boolean("exact");
  if (reader.has("bf16Attention")) options.bf16_attention = reader.boolean("bf16Attention");
  if (reader.has("touchWeights")) options.touch_weights = reader.boolean("touchWeights");
  if (reader.has("expertMemory"))
    options.expert_memory = static_cast<uint64_t>(reader.integer("expertMemory", 0, kMaxExpertMemory));
  if (reader.has("vocabularyOnly")) options.vocabulary_only = reader.boolean("vocabularyOnly");
  if (reader.has("thresholds")) options.thresholds = read_thresholds(reader.value("thresholds"), "options.thresholds");
  reader.finish();
  return options;
}

std::shared_ptr<ModelState> load_state(const std::string& path, const LoadOptions& options,
                                       const LoadProgress& progress) {
  auto state = std::make_shared<ModelState>();
  state->model = Model::load(path, options, progress);
  state->scheduler = std::make_unique<Scheduler>(state->model);
  return state;
}

Napi::Value token_text_or_undefined(Napi::Env env, const Tokenizer& tokenizer, int32_t id) {
  if (id == kNoToken) return env.Undefined();
  return Napi::String::New(env, tokenizer.token_text(id));
}

}  // namespace

Napi::Value load_model(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto path = read_path(info[0], "path");
  const LoadOptions options = read_load_options(info[1]);
  Call call(env);
  if (!info[2].IsUndefined()) call.callback = Napi::Persistent(read_function(info[2], "onProgress"));
  call.cancel = claim_cancel(info[3], "cancel");

  AddonData& data = AddonData::of(env);
  const Napi::Promise promise = call.deferred.Promise();
  const auto cancel = call.cancel;
  const auto events = std::make_shared<LoadEvents>();
  const uint64_t call_id = data.begin_call(std::move(call));
  events->call_id = call_id;
  const auto work = [path, options, cancel, events, pump = data.pump()] {
    const LoadProgress progress = [&](uint64_t bytes_done, uint64_t bytes_total) {
      events->update(bytes_done, bytes_total);
      pump->announce(events, /*urgent=*/false);
      return !cancel->is_requested();
    };
    std::shared_ptr<ModelState> state = load_state(path, options, progress);
    // The engine asks only while it reads weights.
    if (cancel->is_requested()) throw Error(ErrorCode::kCancelled, "loading was cancelled");
    return state;
  };
  const auto convert = [](Napi::Env convert_env, const Call&, std::shared_ptr<ModelState>& state) -> Napi::Value {
    AddonData& owner = AddonData::of(convert_env);
    owner.models().add(state);
    return make_handle(convert_env, kModelTag, std::move(state), owner.runner());
  };
  start_task<std::shared_ptr<ModelState>>(data, call_id, work, convert);
  return promise;
}

// Pairs of byte offsets in one Int32Array; undefined is none.
std::vector<TextSpan> read_spans(const Napi::Value& value, const std::string& name) {
  std::vector<TextSpan> spans;
  if (value.IsUndefined()) return spans;
  const std::vector<int32_t> bounds = read_tokens(value, name);
  if (bounds.size() % 2 != 0) throw Error(ErrorCode::kBadRequest, name + ": expected pairs of offsets");
  for (size_t i = 0; i < bounds.size(); i += 2) {
    if (bounds[i] < 0 || bounds[i + 1] < 0) throw Error(ErrorCode::kBadRequest, name + ": expected offsets of at least 0");
    spans.push_back({static_cast<size_t>(bounds[i]), static_cast<size_t>(bounds[i + 1])});
  }
  return spans;
}

// The spelling of all tokens of these types, for finding them in text.
Napi::Array token_texts(Napi::Env env, const Tokenizer& tokenizer, bool (*wanted)(const Tokenizer&, int32_t)) {
  Napi::Array texts = Napi::Array::New(env);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    if (wanted(tokenizer, id) && !tokenizer.token_text(id).empty()) texts.Set(texts.Length(), tokenizer.token_text(id));
  return texts;
}

Napi::Value model_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap_open_model(info[0]);
  const Model& model = *state->model;
  const Tokenizer& tokenizer = model.tokenizer();
  const Napi::Object special = ObjectWriter(env)
                                   .set("bos", token_text_or_undefined(env, tokenizer, tokenizer.bos_id()))
                                   .set("eos", token_text_or_undefined(env, tokenizer, tokenizer.eos_id()))
                                   .set("unknown", token_text_or_undefined(env, tokenizer, tokenizer.unk_id()))
                                   .set("pad", token_text_or_undefined(env, tokenizer, tokenizer.pad_id()))
                                   .object();
  return ObjectWriter(env)
      .set("info", to_js(env, model.info()))
      .set("chatTemplate", model.chat_template())
      .set("backend", model.backend_id())
      .set("device", model.backend_device())
      .set("level", model.backend_level())
      .set("nThreads", model.n_threads())
      .set("moeLayers", to_js_array(env, model.moe_layers(),
                                    [&](int64_t layer) { return Napi::Number::New(env, static_cast<double>(layer)); }))
      .set("vocabSize", static_cast<int64_t>(tokenizer.vocab_size()))
      .set("specialTokens", special)
      .set("controlTokens", token_texts(env, tokenizer, [](const Tokenizer& t, int32_t id) { return t.is_special(id); }))
      .set("userDefinedTokens", token_texts(env, tokenizer, [](const Tokenizer& t, int32_t id) {
             return t.token_type(id) == TokenType::kUserDefined;
           }))
      .set("addsBos", tokenizer.adds_bos())
      .set("addsEos", tokenizer.adds_eos())
      .set("endOfGeneration", to_js(env, std::span<const int32_t>(tokenizer.end_of_generation_ids())))
      .object();
}

Napi::Value streamed_experts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto experts = unwrap_open_model(info[0])->model->streamed_experts();
  if (!experts) return env.Undefined();
  return ObjectWriter(env)
      .set("memoryBytes", experts->n_bytes)
      .set("slotsPerLayer", experts->slots_per_layer)
      .set("hits", experts->hits)
      .set("misses", experts->misses)
      .set("bytesRead", experts->bytes_read)
      .set("readMs", experts->read_ms)
      .set("waitMs", experts->wait_ms)
      .object();
}

Napi::Value encode_text(const Napi::CallbackInfo& info) {
  const auto state = unwrap_open_model(info[0]);
  const std::string text = read_string(info[1], "text");
  EncodeOptions options;
  options.add_special = read_boolean(info[2], "addSpecial");
  options.parse_special = read_boolean(info[3], "parseSpecial");
  const std::vector<TextSpan> literal = read_spans(info[4], "literal");
  options.literal = literal;
  return to_js(info.Env(), std::span<const int32_t>(state->model->tokenizer().encode(text, options)));
}

Napi::Value decode_tokens(const Napi::CallbackInfo& info) {
  const auto state = unwrap_open_model(info[0]);
  const std::vector<int32_t> tokens = read_tokens(info[1], "tokens");
  DecodeOptions options;
  options.skip_special = read_boolean(info[2], "skipSpecial");
  options.remove_space_prefix = read_boolean(info[3], "removeSpacePrefix");
  // The stream decoder, so that a whole text and a streamed one treat broken characters alike.
  StreamDecoder decoder(state->model->tokenizer(), options);
  std::string text;
  for (const int32_t id : tokens) text += decoder.push(id);
  text += decoder.flush();
  return Napi::String::New(info.Env(), text);
}

Napi::Value close_model(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return AddonData::of(env).close_model(env, unwrap<ModelState>(info[0], kModelTag, "model", "model"));
}

}  // namespace moebius::addon
