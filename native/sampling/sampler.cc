#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "sampling/candidates.h"
#include "sampling/penalties.h"
#include "sampling/random.h"
#include "sampling/truncation.h"

namespace moebius {

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr uint32_t kStateMagic = 0x3153424D;  // "MBS1"

enum class Stage { kPenalties, kDry, kTopNSigma, kTopK, kTypical, kTopP, kMinP, kXtc, kTemperature };

// Stages in the order of SamplerSettings::default_order().
std::vector<Stage> parse_order(const SamplerSettings& settings) {
  const auto& names = SamplerSettings::default_order();
  const auto& order = settings.order.empty() ? names : settings.order;
  std::vector<Stage> stages;
  for (const std::string& name : order)
    stages.push_back(static_cast<Stage>(std::find(names.begin(), names.end(), name) - names.begin()));
  return stages;
}

void check_logits(std::span<const float> logits, int32_t vocab_size) {
  if (logits.size() != static_cast<size_t>(vocab_size))
    throw Error(ErrorCode::kBadRequest,
                format_text("sampler got %zu logits, expected %d", logits.size(), vocab_size));
  int32_t n_odd = 0, n_finite = 0;
  for (const float logit : logits) {
    n_odd += !(logit < std::numeric_limits<float>::infinity());  // NaN too
    n_finite += logit > kMinusInfinity;
  }
  if (n_odd > 0) {
    for (size_t i = 0; i < logits.size(); ++i)
      if (!(logits[i] < std::numeric_limits<float>::infinity()))
        throw Error(ErrorCode::kBadRequest, format_text("logit %zu is %s", i, std::isnan(logits[i]) ? "not a number" : "infinite"));
  }
  if (n_finite == 0) throw Error(ErrorCode::kBadRequest, "every logit is minus infinity");
}

// Serialises plain values for save_state.
class StateWriter {
 public:
  template <typename T>
  void put(const T& value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(T));
  }
  void put_ids(const std::vector<int32_t>& ids) {
    put(static_cast<uint64_t>(ids.size()));
    const auto* bytes = reinterpret_cast<const uint8_t*>(ids.data());
    bytes_.insert(bytes_.end(), bytes, bytes + ids.size() * sizeof(int32_t));
  }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

class StateReader {
 public:
  StateReader(std::span<const uint8_t> bytes, int32_t vocab_size) : bytes_(bytes), vocab_size_(vocab_size) {}
  template <typename T>
  T get() {
    if (bytes_.size() < sizeof(T)) fail();
    T value;
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  std::vector<int32_t> get_ids() {
    const uint64_t count = get<uint64_t>();
    if (count > bytes_.size() / sizeof(int32_t)) fail();
    std::vector<int32_t> ids(count);
    if (count > 0) std::memcpy(ids.data(), bytes_.data(), count * sizeof(int32_t));
    bytes_ = bytes_.subspan(count * sizeof(int32_t));
    for (const int32_t id : ids)
      if (id < 0 || id >= vocab_size_) fail();
    return ids;
  }
  void expect_end() const {
    if (!bytes_.empty()) fail();
  }
  [[noreturn]] static void fail() {
    throw Error(ErrorCode::kBadRequest, "sampler state is damaged or belongs to another model");
  }

 private:
  std::span<const uint8_t> bytes_;
  int32_t vocab_size_;
};

}  // namespace

struct Sampler::Impl {
  SamplerSettings settings;
  int32_t vocab_size = 0;
  std::shared_ptr<const TokenTable> tokens;
  std::unique_ptr<TokenConstraint> constraint;
  std::vector<Stage> stages;

  // The state proper.
  std::vector<int32_t> history;  // prompt and answer
  std::vector<int32_t> answer;   // what the constraint has accepted
  float mu = 0;                  // mirostat's surprise limit in bits
  int32_t pending_id = -1;       // last token drawn, whose surprise moves mu if it is accepted
  float pending_surprise = 0;

  // Scratch.
  std::vector<float> logits;      // [vocab_size]
  std::vector<uint32_t> counts;   // [vocab_size], all zero between calls
  Candidates candidates;

  std::unique_ptr<Impl> clone() const {
    auto copy = std::make_unique<Impl>();
    copy->settings = settings;
    copy->vocab_size = vocab_size;
    copy->tokens = tokens;
    copy->constraint = constraint ? constraint->clone() : nullptr;
    copy->stages = stages;
    copy->history = history;
    copy->answer = answer;
    copy->mu = mu;
    copy->pending_id = pending_id;
    copy->pending_surprise = pending_surprise;
    copy->counts.resize(counts.size());
    return copy;
  }

  void check_id(int32_t id) const {
    if (id < 0 || id >= vocab_size)
      throw Error(ErrorCode::kBadRequest,
                  format_text("token id %d is outside the vocabulary of %d tokens", id, vocab_size));
  }

  void restart() {
    history.clear();
    answer.clear();
    mu = 2 * settings.mirostat_tau;
    pending_id = -1;
    if (constraint) constraint->reset();
  }

  // Copies the raw logits and applies bias and grammar.
  void prepare(std::span<const float> raw) {
    logits.assign(raw.begin(), raw.end());
    for (const auto& [id, bias] : settings.logit_bias) logits[static_cast<size_t>(id)] += bias;
    if (constraint) constraint->mask(logits);
    candidates.assign(logits);
    if (candidates.empty())
      throw Error(constraint ? ErrorCode::kGrammar : ErrorCode::kUnsupported,
                  constraint ? "the grammar allows none of the tokens that logit_bias leaves" : "logit_bias bans every token");
  }

  // A truncating stage; penalties and temperature are handled by run_stage.
  void truncate(Stage stage, int64_t position) {
    const SamplerSettings& s = settings;
    switch (stage) {
      case Stage::kTopNSigma: if (s.top_n_sigma > 0) keep_top_n_sigma(candidates, s.top_n_sigma); return;
      case Stage::kTopK: if (s.sampling_top_k > 0) candidates.keep_best(static_cast<size_t>(s.sampling_top_k)); return;
      case Stage::kTypical: if (s.typical_p < 1) keep_typical(candidates, s.typical_p); return;
      case Stage::kTopP: if (s.top_p < 1) keep_top_p(candidates, s.top_p); return;
      case Stage::kMinP: if (s.min_p > 0) keep_min_p(candidates, s.min_p); return;
      case Stage::kXtc:
        if (s.xtc_probability > 0 && s.xtc_threshold <= 0.5f &&
            random_unit(s.seed, position, RandomPurpose::kXtc) < s.xtc_probability)
          exclude_top_choices(candidates, s.xtc_threshold);
        return;
      default: return;
    }
  }

  void run_stage(Stage stage, int64_t position) {
    const bool greedy = settings.temperature <= 0;
    if (stage == Stage::kPenalties) return apply_penalties(candidates, settings, history, counts);
    if (stage == Stage::kDry) return apply_dry(candidates, settings, history, tokens.get(), counts);
    // Greedy takes the best token, which truncation keeps and XTC must not remove.
    if (greedy) return;
    if (stage == Stage::kTemperature) return apply_temperature(candidates, settings.temperature);
    if (!settings.mirostat) truncate(stage, position);
  }

  int32_t pick(int64_t position) {
    if (settings.temperature <= 0)
      return candidates.best_id();
    if (settings.mirostat) keep_surprise_below(candidates, mu);
    const std::span<const float> probabilities = candidates.probabilities();
    double total = 0;
    for (const float p : probabilities) total += p;
    const double target = random_unit(settings.seed, position, RandomPurpose::kDraw) * total;
    size_t chosen = 0, last_possible = 0;
    double cumulative = 0;
    for (; chosen < probabilities.size(); ++chosen) {
      cumulative += probabilities[chosen];
      if (probabilities[chosen] > 0) last_possible = chosen;
      if (cumulative > target) break;
    }
    chosen = std::min(chosen, last_possible);
    pending_surprise = static_cast<float>(-std::log2(probabilities[chosen] / total));
    return candidates.items()[chosen].id;
  }

  // A sum over the whole vocabulary: not for those who do not ask.
  SampledToken report(std::span<const float> raw, int32_t id) {
    if (settings.n_probs == 0) return {id, std::nullopt, {}};
    const double normaliser = log_sum_exp(raw);
    const auto logprob = [&](float logit) { return static_cast<float>(logit - normaliser); };
    SampledToken token{id, logprob(raw[static_cast<size_t>(id)]), {}};
    logits.assign(raw.begin(), raw.end());
    candidates.assign(logits);
    candidates.keep_best(static_cast<size_t>(settings.n_probs));
    for (const Candidate& c : candidates.items()) token.top.push_back({c.id, logprob(c.logit)});
    return token;
  }
};

Sampler::Sampler(SamplerSettings settings, int32_t vocab_size, std::shared_ptr<const TokenTable> tokens,
                 std::unique_ptr<TokenConstraint> constraint)
    : impl_(std::make_unique<Impl>()) {
  if (vocab_size <= 0) throw Error(ErrorCode::kBadRequest, format_text("sampler got a vocabulary of %d tokens", vocab_size));
  settings.validate(vocab_size);
  impl_->stages = parse_order(settings);
  impl_->settings = std::move(settings);
  impl_->vocab_size = vocab_size;
  impl_->tokens = std::move(tokens);
  impl_->constraint = std::move(constraint);
  impl_->counts.resize(static_cast<size_t>(vocab_size));
  impl_->mu = 2 * impl_->settings.mirostat_tau;
}

Sampler::Sampler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;

SampledToken Sampler::sample(std::span<const float> logits, int64_t position) {
  return impl_->report(logits, guess(logits, position));
}

int32_t Sampler::guess(std::span<const float> logits, int64_t position) {
  check_logits(logits, impl_->vocab_size);
  impl_->prepare(logits);
  for (const Stage stage : impl_->stages) impl_->run_stage(stage, position);
  return impl_->pending_id = impl_->pick(position);
}

void Sampler::accept(int32_t id) {
  impl_->check_id(id);
  if (impl_->constraint) {
    impl_->constraint->accept(id);
    impl_->answer.push_back(id);
  }
  impl_->history.push_back(id);
  const SamplerSettings& s = impl_->settings;
  if (s.mirostat && s.temperature > 0 && impl_->pending_id == id)
    impl_->mu -= s.mirostat_eta * (impl_->pending_surprise - s.mirostat_tau);
  impl_->pending_id = -1;
}

void Sampler::accept_prompt(std::span<const int32_t> ids) {
  for (const int32_t id : ids) impl_->check_id(id);
  impl_->history.insert(impl_->history.end(), ids.begin(), ids.end());
}

void Sampler::reset() { impl_->restart(); }

std::unique_ptr<Sampler> Sampler::clone() const { return std::unique_ptr<Sampler>(new Sampler(impl_->clone())); }

std::vector<uint8_t> Sampler::save_state() const {
  StateWriter writer;
  writer.put(kStateMagic);
  writer.put(impl_->vocab_size);
  writer.put(impl_->mu);
  writer.put(impl_->pending_id);
  writer.put(impl_->pending_surprise);
  writer.put_ids(impl_->history);
  writer.put_ids(impl_->answer);
  return writer.take();
}

void Sampler::restore_state(std::span<const uint8_t> state) {
  StateReader reader(state, impl_->vocab_size);
  if (reader.get<uint32_t>() != kStateMagic || reader.get<int32_t>() != impl_->vocab_size) StateReader::fail();
  const float mu = reader.get<float>();
  const int32_t pending_id = reader.get<int32_t>();
  const float pending_surprise = reader.get<float>();
  std::vector<int32_t> history = reader.get_ids();
  std::vector<int32_t> answer = reader.get_ids();
  reader.expect_end();
  if (!std::isfinite(mu) || std::isnan(pending_surprise) || pending_id < -1 || pending_id >= impl_->vocab_size)
    StateReader::fail();
  if (impl_->constraint) {
    const auto replayed = impl_->constraint->clone();
    replayed->reset();
    for (const int32_t id : answer) replayed->accept(id);
    impl_->constraint = replayed->clone();
  }
  impl_->mu = mu;
  impl_->pending_id = pending_id;
  impl_->pending_surprise = pending_surprise;
  impl_->history = std::move(history);
  impl_->answer = std::move(answer);
}

const SamplerSettings& Sampler::settings() const { return impl_->settings; }
const TokenConstraint* Sampler::constraint() const { return impl_->constraint.get(); }
std::span<const int32_t> Sampler::history() const { return impl_->history; }

float token_logprob(std::span<const float> logits, int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= logits.size())
    throw Error(ErrorCode::kBadRequest, format_text("token id %d is outside the %zu logits", id, logits.size()));
  check_logits(logits, static_cast<int32_t>(logits.size()));
  return static_cast<float>(logits[static_cast<size_t>(id)] - log_sum_exp(logits));
}

}  // namespace moebius
