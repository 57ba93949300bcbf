#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "engine/build_info.h"
#include "engine/engine.h"
#include "engine/load_tokenizer.h"
#include "engine/model_state.h"
#include "engine/thresholds.h"
#include "engine/touch_weights.h"
#include "model/architectures/architecture.h"
#include "model/load_weights.h"

namespace moebius {

namespace {

std::vector<GgufOverride> gguf_overrides(const std::vector<std::pair<std::string, std::string>>& overrides) {
  std::vector<GgufOverride> result;
  for (const auto& [key, value] : overrides) result.push_back({key, value});
  return result;
}

Backend& backend_by_id(const std::string& id) {
  if (id == "reference") return reference_backend();
  if (id.starts_with("cpu:")) return cpu_backend_at(id.substr(4));
  std::string known = "reference";
  for (Backend* backend : backends()) {
    if (id == backend->id()) return *backend;
    known = std::string(backend->id()) + ", " + known;
  }
  throw Error(ErrorCode::kBadRequest,
              format_text("backend: expected one of %s, got '%.32s'", known.c_str(), id.c_str()));
}

// The tensors that the model reads through the mapping: what it ignores or streams may stay on
// the disk.
void read_weights(const GgufModelFile& file, const Model::State& model, const LoadProgress& progress) {
  std::unordered_set<std::string_view> unread(model.info.ignored_tensors.begin(), model.info.ignored_tensors.end());
  if (model.decoder.experts != nullptr) unread.merge(expert_tensors(file, model.decoder.experts->layers()));
  touch_weights(weight_ranges(file, [&](const GgufTensor& tensor) { return !unread.contains(tensor.name); }), progress);
}

void warn_of_ignored(ModelInfo& info) {
  if (info.ignored_tensors.empty()) return;
  info.warnings.push_back(format_text("%zu tensors of the file are not used, the first is %s.",
                                      info.ignored_tensors.size(), info.ignored_tensors.front().c_str()));
}

void load_network(const GgufModelFile& file, uint64_t expert_memory, Model::State& state) {
  ConfigReader reader(file);
  state.decoder = load_decoder(file, reader, /*headers_only=*/false, state.info.ignored_tensors,
                               /*experts_stay=*/expert_memory > 0);
  if (expert_memory > 0) stream_experts(file, expert_memory, state.decoder);
  describe_model(file, state.decoder.config, state.decoder.weights, reader.log(), state.info);
  describe_tensors(file, state.decoder.config, state.info);
  warn_of_ignored(state.info);
}

void check_arithmetic(const LoadOptions& options, const Backend& backend) {
  if (!options.bf16_attention) return;
  if (options.exact)
    throw Error(ErrorCode::kBadRequest, "exact activations and attention in bfloat16 exclude each other", "Choose one of the two.");
  if (!backend.has_bf16_attention())
    throw Error(ErrorCode::kUnsupported, format_text("the level %s has no bfloat16 dots for attention", backend.level().c_str()),
                "Load the model without attention in bfloat16.");
}

}  // namespace

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::~Model() = default;

std::shared_ptr<Model> Model::load(const std::string& path, const LoadOptions& options,
                                   const LoadProgress& progress) {
  auto state = std::make_unique<State>();
  state->backend = &backend_by_id(options.backend);
  if (!state->backend->available())
    throw Error(ErrorCode::kUnsupported,
                format_text("backend %s is not available: %s", options.backend.c_str(),
                            state->backend->unavailable_reason().c_str()));
  check_arithmetic(options, *state->backend);
  state->exact = options.exact;
  check_thresholds(options.thresholds);
  state->thresholds = options.thresholds;
  state->bf16_attention = options.bf16_attention;
  state->file = std::make_unique<GgufModelFile>(path, gguf_overrides(options.overrides));
  const GgufModelFile& file = *state->file;
  state->info = describe_file(file);
  state->vocabulary_only = options.vocabulary_only;
  if (options.vocabulary_only) {
    state->tokenizer = load_tokenizer(file.metadata());
    state->token_table = make_token_table(*state->tokenizer);
    state->info.vocab_size = state->tokenizer->vocab_size();
    state->pool = std::make_unique<ThreadPool>(1);
    return std::shared_ptr<Model>(new Model(std::move(state)));
  }
  load_network(file, options.expert_memory, *state);
  state->tokenizer = load_tokenizer(file.metadata());
  if (state->tokenizer->vocab_size() > state->decoder.config.vocab_size)
    throw Error(ErrorCode::kGguf, format_text("the tokenizer has %d tokens, the embedding only %lld rows",
                                              state->tokenizer->vocab_size(),
                                              static_cast<long long>(state->decoder.config.vocab_size)));
  state->token_table = make_token_table(*state->tokenizer);
  if (options.touch_weights) read_weights(file, *state, progress);
  state->pool = std::make_unique<ThreadPool>(options.n_threads);
  return std::shared_ptr<Model>(new Model(std::move(state)));
}

const ModelInfo& Model::info() const { return state_->info; }
const Tokenizer& Model::tokenizer() const { return *state_->tokenizer; }

std::string Model::chat_template(const std::string& name) const {
  for (const ChatTemplate& each : state_->info.chat_templates)
    if (each.name == name) return each.text;
  return "";
}

std::string Model::backend_id() const { return state_->backend->id(); }
std::string Model::backend_device() const { return state_->backend->device_name(); }
std::string Model::backend_level() const { return state_->backend->level(); }
int Model::n_threads() const { return state_->pool->size(); }

std::vector<int64_t> Model::moe_layers() const {
  std::vector<int64_t> layers;
  for (int64_t layer = 0; layer < state_->decoder.config.n_layers; ++layer)
    if (state_->decoder.config.layers[static_cast<size_t>(layer)].is_moe) layers.push_back(layer);
  return layers;
}

std::optional<StreamedExperts> Model::streamed_experts() const {
  const ExpertStore* store = state_->decoder.experts.get();
  if (store == nullptr) return std::nullopt;
  const ExpertStats stats = store->stats();
  StreamedExperts info;
  info.slots_per_layer = store->slots_per_layer();
  info.n_bytes = state_->info.expert_slot_bytes * static_cast<uint64_t>(info.slots_per_layer);
  info.hits = stats.hits;
  info.misses = stats.misses;
  info.bytes_read = stats.bytes_read;
  info.read_ms = stats.read_ms;
  info.wait_ms = stats.wait_ms;
  return info;
}

FileInspection inspect(const std::string& path,
                       const std::vector<std::pair<std::string, std::string>>& overrides) {
  const GgufModelFile file(path, gguf_overrides(overrides));
  FileInspection inspection;
  inspection.info = describe_file(file);
  inspection.metadata = list_metadata(file);
  inspection.tensors = list_tensors(file);
  ModelConfig config;
  try {
    ConfigReader reader(file);
    const DecoderModel decoder =
        load_decoder(file, reader, /*headers_only=*/true, inspection.info.ignored_tensors);
    config = decoder.config;
    describe_model(file, config, decoder.weights, reader.log(), inspection.info);
    warn_of_ignored(inspection.info);
  } catch (const Error& error) {
    inspection.problem = error.what();
    if (!error.hint().empty()) inspection.problem += " " + error.hint();
    config = ModelConfig{};
    config.n_layers = int64_t{1} << 32;
  }
  describe_tensors(file, config, inspection.info);
  return inspection;
}

std::vector<std::string> supported_architectures() { return architecture_names(); }

}  // namespace moebius
