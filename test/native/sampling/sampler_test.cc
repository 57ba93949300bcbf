// The sampler as a whole: greedy, statistics, reproducibility, state, errors.
#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "native/test.h"

namespace moebius::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Everything off but the temperature.
SamplerSettings plain(float temperature = 1.0f) {
  SamplerSettings s;
  s.temperature = temperature;
  s.sampling_top_k = 0;
  s.top_p = 1;
  s.min_p = 0;
  return s;
}

// Allows only even ids, and at most `limit` tokens.
class EvenIds final : public TokenConstraint {
 public:
  explicit EvenIds(size_t limit) : limit_(limit) {}
  void mask(std::span<float> logits) override {
    if (n_ >= limit_) throw Error(ErrorCode::kGrammar, "no token is allowed");
    for (size_t id = 1; id < logits.size(); id += 2) logits[id] = -kInfinity;
  }
  void accept(int32_t id) override {
    if (!allows(id)) throw Error(ErrorCode::kGrammar, "forbidden");
    ++n_;
  }
  bool allows(int32_t id) const override { return id % 2 == 0 && n_ < limit_; }
  bool is_complete() const override { return n_ == limit_; }
  void reset() override { n_ = 0; }
  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<EvenIds>(*this); }

 private:
  size_t limit_;
  size_t n_ = 0;
};

TEST(greedy_takes_the_largest_and_the_lower_id_on_ties) {
  for (const float temperature : {0.0f, -1.0f}) {
    Sampler sampler(plain(temperature), 5);
    CHECK_EQ(sampler.sample(std::vector<float>{1, 4, 2, 4, -kInfinity}, 0).id, 1);
  }
  // Truncation and XTC must not matter.
  SamplerSettings s = plain(0);
  s.xtc_probability = 1;
  s.xtc_threshold = 0.1f;
  s.sampling_top_k = 1;
  CHECK_EQ(Sampler(s, 3).sample(std::vector<float>{1, 1.1f, 1.2f}, 0).id, 2);
}

TEST(draws_follow_the_probabilities) {
  const std::vector<double> p = {0.1, 0.2, 0.3, 0.4};
  std::vector<float> logits;
  for (const double value : p) logits.push_back(static_cast<float>(std::log(value)));
  Sampler sampler(plain(), 4);
  const int n = 40000;
  std::vector<int> counts(4);
  for (int position = 0; position < n; ++position) ++counts[static_cast<size_t>(sampler.sample(logits, position).id)];
  double chi_squared = 0;
  for (size_t i = 0; i < 4; ++i) chi_squared += std::pow(counts[i] - n * p[i], 2) / (n * p[i]);
  CHECK(chi_squared < 16.27);  // 3 degrees of freedom, 0.1 %
  // Temperature 0.5 squares the probabilities: 0.4^2 / 0.3 = 0.5333.
  Sampler sharper(plain(0.5f), 4);
  int best = 0;
  for (int position = 0; position < n; ++position) best += sharper.sample(logits, position).id == 3;
  CHECK_NEAR(best / static_cast<double>(n), 0.53333, 0.01);
}

TEST(default_chain_runs_every_stage_in_order) {
  CHECK_EQ(SamplerSettings::default_order().size(), size_t{9});
  SamplerSettings s = plain();
  s.sampling_top_k = 2;
  s.top_p = 0.5f;
  const std::vector<float> logits = {std::log(0.4f), std::log(0.35f), std::log(0.25f)};
  // top-k first leaves 0.53 and 0.47, then top-p keeps one; the other way round keeps two.
  const auto distinct = [&](const std::vector<std::string>& order) {
    s.order = order;
    Sampler sampler(s, 3);
    std::vector<bool> seen(3);
    for (int position = 0; position < 500; ++position) seen[static_cast<size_t>(sampler.sample(logits, position).id)] = true;
    return std::count(seen.begin(), seen.end(), true);
  };
  CHECK_EQ(distinct({}), 1);
  CHECK_EQ(distinct({"sampling_top_k", "top_p", "temperature"}), 1);
  CHECK_EQ(distinct({"top_p", "sampling_top_k", "temperature"}), 2);
  CHECK_EQ(distinct({"temperature"}), 3);
}

TEST(the_same_seed_and_position_give_the_same_token) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  SamplerSettings s = plain();
  s.seed = 42;
  Sampler forward(s, 1000), backward(s, 1000);
  std::vector<int32_t> ids(100);
  for (int position = 0; position < 100; ++position) ids[static_cast<size_t>(position)] = forward.sample(logits, position).id;
  for (int position = 99; position >= 0; --position)
    CHECK_EQ(backward.sample(logits, position).id, ids[static_cast<size_t>(position)]);
  s.seed = 43;
  Sampler other(s, 1000);
  int equal = 0;
  for (int position = 0; position < 100; ++position) equal += other.sample(logits, position).id == ids[static_cast<size_t>(position)];
  CHECK(equal < 10);
}

TEST(logprobs_come_from_the_raw_logits) {
  SamplerSettings s = plain(0);
  s.n_probs = 3;
  s.logit_bias = {{2, -kInfinity}};
  const std::vector<float> logits = {std::log(0.2f), std::log(0.3f), std::log(0.4f), std::log(0.1f)};
  const SampledToken token = Sampler(s, 4).sample(logits, 0);
  CHECK_EQ(token.id, 1);
  CHECK_NEAR(token.logprob.value(), std::log(0.3), 1e-5);
  CHECK_EQ(token.top.size(), size_t{3});
  CHECK_EQ(token.top[0].id, 2);
  CHECK_NEAR(token.top[0].logprob, std::log(0.4), 1e-5);
  CHECK_EQ(token.top[2].id, 0);
  CHECK_NEAR(token_logprob(logits, 3), std::log(0.1), 1e-5);
  s.n_probs = 0;
  CHECK(!Sampler(s, 4).sample(logits, 0).logprob.has_value());
}

TEST(bias_and_constraint_come_first) {
  SamplerSettings s = plain(0);
  s.logit_bias = {{1, 10.0f}, {2, 3.0f}};
  const std::vector<float> logits = {2, 0, 0, 1};
  CHECK_EQ(Sampler(s, 4).sample(logits, 0).id, 1);
  Sampler constrained(s, 4, nullptr, std::make_unique<EvenIds>(2));
  CHECK_EQ(constrained.sample(logits, 0).id, 2);
  constrained.accept(2);
  CHECK_THROWS(Error, "forbidden", constrained.accept(1));
  CHECK_EQ(constrained.history().size(), size_t{1});
  constrained.accept(0);
  CHECK(constrained.constraint()->is_complete());
  CHECK_THROWS(Error, "no token is allowed", constrained.sample(logits, 2));
  constrained.reset();
  CHECK_EQ(constrained.sample(logits, 0).id, 2);
  s.logit_bias = {{0, -kInfinity}, {2, -kInfinity}};
  CHECK_THROWS(Error, "grammar", Sampler(s, 4, nullptr, std::make_unique<EvenIds>(2)).sample(logits, 0));
}

TEST(clone_and_saved_state_continue_alike) {
  SamplerSettings s;
  s.seed = 5;
  s.repeat_penalty = 1.3f;
  s.dry_multiplier = 0.8f;
  s.mirostat = true;
  std::vector<float> logits(64);
  const auto step = [&](Sampler& sampler, int64_t position) {
    for (size_t i = 0; i < logits.size(); ++i)
      logits[i] = static_cast<float>(2 * std::sin(static_cast<double>(i) * 0.7 + static_cast<double>(position)));
    const int32_t id = sampler.sample(logits, position).id;
    sampler.accept(id);
    return id;
  };
  const auto make = [&] { return Sampler(s, 64, nullptr, std::make_unique<EvenIds>(1000)); };
  Sampler original = make();
  original.accept_prompt(std::vector<int32_t>{1, 2, 3});
  for (int64_t position = 3; position < 40; ++position) step(original, position);
  const std::vector<uint8_t> state = original.save_state();
  const auto copy = original.clone();
  Sampler restored = make();
  restored.restore_state(state);
  CHECK_EQ(restored.history().size(), original.history().size());
  for (int64_t position = 40; position < 80; ++position) {
    const int32_t id = step(original, position);
    CHECK_EQ(step(*copy, position), id);
    CHECK_EQ(step(restored, position), id);
  }
  std::vector<uint8_t> damaged = state;
  damaged.pop_back();
  CHECK_THROWS(Error, "damaged", restored.restore_state(damaged));
  CHECK_THROWS(Error, "damaged", restored.restore_state(std::vector<uint8_t>{}));
  damaged = state;
  damaged[20] = 0xFF;
  damaged[27] = 0xFF;
  CHECK_THROWS(Error, "damaged", restored.restore_state(damaged));
}

TEST(sampling_ahead_changes_nothing) {
  SamplerSettings s = plain();
  s.mirostat = true;
  const std::vector<float> logits = {1, 2, 3, 4};
  Sampler once(s, 4), twice(s, 4);
  for (int64_t position = 0; position < 50; ++position) {
    twice.sample(logits, position + 7);
    CHECK_EQ(twice.guess(logits, position), once.guess(logits, position));
    twice.guess(std::vector<float>{9, -9, 3, 1}, position + 1);
    const int32_t id = once.sample(logits, position).id;
    CHECK_EQ(twice.sample(logits, position).id, id);
    once.accept(id);
    twice.accept(id);
  }
  CHECK(once.save_state() == twice.save_state());
}

TEST(mirostat_reaches_its_target_surprise) {
  SamplerSettings s = plain();
  s.mirostat = true;
  s.mirostat_tau = 3;
  s.n_probs = 1;
  std::vector<float> logits(2000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = -static_cast<float>(std::log(static_cast<double>(i) + 1.5));
  Sampler sampler(s, 2000);
  double surprise = 0;
  const int n = 4000, warm_up = 1000;
  for (int position = 0; position < n; ++position) {
    const SampledToken token = sampler.sample(logits, position);
    sampler.accept(token.id);
    // Of the renormalised distribution mirostat controls: compare loosely, raw is larger.
    if (position >= warm_up) surprise -= static_cast<double>(token.logprob.value()) / std::log(2.0);
  }
  CHECK(surprise / (n - warm_up) > 3.0 && surprise / (n - warm_up) < 6.5);
}

TEST(xtc_acts_with_its_probability) {
  SamplerSettings s = plain();
  s.xtc_probability = 0.25f;
  s.xtc_threshold = 0.3f;
  // With XTC only the second and third remain.
  const std::vector<float> logits = {std::log(0.5f), std::log(0.4f), std::log(0.1f)};
  Sampler sampler(s, 3);
  int first = 0;
  const int n = 20000;
  for (int position = 0; position < n; ++position) first += sampler.sample(logits, position).id == 0;
  CHECK_NEAR(first / static_cast<double>(n), 0.75 * 0.5, 0.015);
}

TEST(bad_input_is_refused) {
  Sampler sampler(plain(), 3);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS(Error, "logit 1 is not a number", sampler.sample(std::vector<float>{0, nan, 0}, 0));
  CHECK_THROWS(Error, "logit 2 is infinite", sampler.sample(std::vector<float>{0, 0, kInfinity}, 0));
  CHECK_THROWS(Error, "expected 3", sampler.sample(std::vector<float>{0, 0}, 0));
  CHECK_THROWS(Error, "minus infinity", sampler.sample(std::vector<float>(3, -kInfinity), 0));
  CHECK_THROWS(Error, "outside the vocabulary", sampler.accept(3));
  CHECK_THROWS(Error, "outside the vocabulary", sampler.accept_prompt(std::vector<int32_t>{0, -1}));
  SamplerSettings s = plain();
  s.logit_bias = {{0, -kInfinity}, {1, -kInfinity}, {2, -kInfinity}};
  CHECK_THROWS(Error, "bans every token", Sampler(s, 3).sample(std::vector<float>{0, 0, 0}, 0));
}

TEST(bad_settings_are_refused) {
  const auto refuse = [](const char* text, auto change) {
    SamplerSettings s = plain();
    change(s);
    CHECK_THROWS(Error, text, s.validate(10));
  };
  refuse("temperature", [](SamplerSettings& s) { s.temperature = std::numeric_limits<float>::quiet_NaN(); });
  refuse("repeat_penalty", [](SamplerSettings& s) { s.repeat_penalty = 0; });
  refuse("token 10", [](SamplerSettings& s) { s.logit_bias = {{10, 1.0f}}; });
  refuse("token 1 ", [](SamplerSettings& s) { s.logit_bias = {{1, kInfinity}}; });
  refuse("n_probs", [](SamplerSettings& s) { s.n_probs = 11; });
  refuse("unknown stage 'top_k'", [](SamplerSettings& s) { s.order = {"top_k"}; });
  refuse("twice", [](SamplerSettings& s) { s.order = {"min_p", "top_p", "min_p"}; });
  refuse("dry_sequence_breakers", [](SamplerSettings& s) { s.dry_sequence_breakers = {""}; });
  plain().validate(10);
}

}  // namespace
}  // namespace moebius::test
