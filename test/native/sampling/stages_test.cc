// Each stage against cases worked out by hand.
#include <algorithm>
#include <cmath>
#include <limits>

#include "native/test.h"
#include "sampling/candidates.h"
#include "sampling/penalties.h"
#include "sampling/random.h"
#include "sampling/truncation.h"

namespace moebius::test {
namespace {

// Candidates over logits of their own.
struct OwnedCandidates : Candidates {
  explicit OwnedCandidates(std::vector<float> values) : logits(std::move(values)) { assign(logits); }
  OwnedCandidates(const OwnedCandidates&) = delete;
  std::vector<float> logits;
};

OwnedCandidates from_logits(const std::vector<float>& logits) { return OwnedCandidates(logits); }

OwnedCandidates from_probabilities(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return OwnedCandidates(logits);
}

std::string ids(Candidates& candidates) {
  std::string text;
  for (const Candidate& c : candidates.items()) {
    if (!text.empty()) text += ' ';
    text += std::to_string(c.id);
  }
  return text;
}

float logit_of(Candidates& candidates, int32_t id) {
  for (const Candidate& c : candidates.items())
    if (c.id == id) return c.logit;
  return std::numeric_limits<float>::quiet_NaN();
}

TEST(exponential_is_accurate_and_vanishes) {
  double worst = 0;
  for (double x = 0; x > -87; x -= 0.00137) {
    const float argument = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(argument));
    worst = std::max(worst, std::fabs(exp_negative(argument) - exact) / exact);
  }
  CHECK(worst < 2 * 1.2e-7);
  CHECK_EQ(exp_negative(0.0f), 1.0f);
  CHECK_EQ(exp_negative(-100.0f), 0.0f);
  CHECK_EQ(exp_negative(-std::numeric_limits<float>::infinity()), 0.0f);
}

TEST(log_sum_exp_matches_the_formula) {
  std::vector<float> logits;
  for (int i = 0; i < 37; ++i) logits.push_back(static_cast<float>(std::sin(i * 1.7) * 9));
  logits[5] = -std::numeric_limits<float>::infinity();
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  CHECK_NEAR(log_sum_exp(logits), std::log(sum), 1e-6);
}

// The vectors published with the generator (Random123, kat_vectors).
TEST(philox_known_answers) {
  using Block = std::array<uint32_t, 4>;
  CHECK(philox_4x32({0, 0, 0, 0}, {0, 0}) == (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK(philox_4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK(philox_4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(random_unit_is_uniform_and_keyed) {
  double sum = 0;
  int below_tenth = 0;
  for (int64_t position = 0; position < 20000; ++position) {
    const double u = random_unit(7, position, RandomPurpose::kDraw);
    CHECK(u >= 0 && u < 1);
    sum += u;
    below_tenth += u < 0.1;
  }
  CHECK_NEAR(sum / 20000, 0.5, 0.01);
  CHECK_NEAR(below_tenth / 20000.0, 0.1, 0.01);
  CHECK(random_unit(7, 3, RandomPurpose::kDraw) != random_unit(8, 3, RandomPurpose::kDraw));
  CHECK(random_unit(7, 3, RandomPurpose::kDraw) != random_unit(7, 4, RandomPurpose::kDraw));
  CHECK(random_unit(7, 3, RandomPurpose::kDraw) != random_unit(7, 3, RandomPurpose::kXtc));
}

TEST(top_k_orders_and_breaks_ties_by_id) {
  OwnedCandidates c = from_logits({1, 3, 2, 3, 0});
  c.keep_best(3);
  CHECK_EQ(ids(c), "1 3 2");
  c.keep_best(100);
  CHECK_EQ(ids(c), "1 3 2");
}

TEST(top_k_by_selection_equals_a_full_sort) {
  for (const int levels : {3, 50, 100000}) {  // few levels: many ties
    std::vector<float> logits;
    for (uint32_t i = 0; i < 5003; ++i) logits.push_back(static_cast<float>(i * 2654435761u / 64 % static_cast<uint32_t>(levels)));
    logits[17] = -std::numeric_limits<float>::infinity();
    OwnedCandidates all = from_logits(logits);
    all.sort();
    CHECK_EQ(all.items().size(), size_t{5002});
    for (const size_t k : {1, 2, 40, 1000, 3000, 6000}) {
      OwnedCandidates c = from_logits(logits);
      c.keep_best(k);
      CHECK_EQ(c.items().size(), std::min<size_t>(k, 5002));
      CHECK_EQ(c.best_id(), all.items()[0].id);
      for (size_t i = 0; i < c.items().size(); ++i) CHECK_EQ(c.items()[i].id, all.items()[i].id);
    }
  }
}

TEST(dense_and_listed_candidates_agree) {
  const std::vector<float> logits = {1, -2, 5, 5, -std::numeric_limits<float>::infinity(), 0};
  OwnedCandidates dense = from_logits(logits);
  OwnedCandidates listed = from_logits(logits);
  CHECK_EQ(listed.items().size(), size_t{5});
  CHECK_EQ(dense.best_id(), 2);
  CHECK_EQ(listed.best_id(), 2);
  const auto halve = [](int32_t id, float logit) { return id == 2 ? logit / 2 : logit; };
  dense.adjust(std::vector<int32_t>{2}, halve);
  listed.adjust(std::vector<int32_t>{2}, halve);
  CHECK_EQ(dense.best_id(), 3);
  CHECK_EQ(listed.best_id(), 3);
  CHECK_EQ(dense.max_logit(), 5.0f);
  dense.keep_at_least(0);
  listed.keep_at_least(0);
  CHECK_EQ(ids(dense), "0 2 3 5");
  CHECK_EQ(ids(listed), "0 2 3 5");
}

TEST(top_p_keeps_the_smallest_prefix) {
  const std::vector<double> p = {0.1, 0.4, 0.2, 0.3};
  const auto kept = [&](float limit) {
    OwnedCandidates c = from_probabilities(p);
    keep_top_p(c, limit);
    return ids(c);
  };
  CHECK_EQ(kept(0.0f), "1");
  CHECK_EQ(kept(0.39f), "1");
  CHECK_EQ(kept(0.41f), "1 3");
  CHECK_EQ(kept(0.69f), "1 3");
  CHECK_EQ(kept(0.71f), "1 3 2");
  CHECK_EQ(kept(0.9999f), "1 3 2 0");
}

TEST(top_p_on_many_tokens_equals_a_full_sort) {
  std::vector<float> logits;
  for (int i = 0; i < 5000; ++i) logits.push_back(static_cast<float>(std::fmod(i * 0.6180339887, 1.0)));
  OwnedCandidates c = from_logits(logits);
  OwnedCandidates all = from_logits(logits);
  keep_top_p(c, 0.5f);
  all.sort();
  const auto probabilities = all.probabilities();
  double sum = 0;
  size_t n = 0;
  while (sum < 0.5) sum += probabilities[n++];
  CHECK_NEAR(static_cast<double>(c.items().size()), static_cast<double>(n), 1.0);
  for (size_t i = 0; i < c.items().size(); ++i) CHECK_EQ(c.items()[i].id, all.items()[i].id);
}

TEST(min_p_is_relative_to_the_best) {
  const auto kept = [](float limit) {
    OwnedCandidates c = from_probabilities({0.05, 0.5, 0.25, 0.2});
    keep_min_p(c, limit);
    return ids(c);
  };
  CHECK_EQ(kept(0.09f), "0 1 2 3");
  CHECK_EQ(kept(0.11f), "1 2 3");
  CHECK_EQ(kept(0.45f), "1 2");
  CHECK_EQ(kept(1.0f), "1");
  CHECK_EQ(kept(5.0f), "1");
}

TEST(typical_keeps_those_nearest_the_entropy) {
  // Entropy of (0.5, 0.25, 0.125, 0.125) is 1.2130 nats; surprises 0.693, 1.386, 2.079, 2.079.
  const auto kept = [](float limit) {
    OwnedCandidates c = from_probabilities({0.5, 0.25, 0.125, 0.125});
    keep_typical(c, limit);
    return ids(c);
  };
  CHECK_EQ(kept(0.2f), "1");
  CHECK_EQ(kept(0.3f), "0 1");
  CHECK_EQ(kept(0.8f), "0 1 2");
  CHECK_EQ(kept(0.0f), "1");
}

TEST(top_n_sigma_counts_standard_deviations) {
  // Mean 2, variance 2, deviation 1.41421.
  const auto kept = [](float n) {
    OwnedCandidates c = from_logits({0, 1, 2, 3, 4});
    keep_top_n_sigma(c, n);
    return ids(c);
  };
  CHECK_EQ(kept(0.7f), "4");
  CHECK_EQ(kept(0.71f), "3 4");
  CHECK_EQ(kept(2.0f), "2 3 4");
}

TEST(xtc_keeps_only_the_least_of_the_likely) {
  const auto kept = [](float threshold) {
    OwnedCandidates c = from_probabilities({0.4, 0.3, 0.2, 0.1});
    exclude_top_choices(c, threshold);
    return ids(c);
  };
  CHECK_EQ(kept(0.15f), "2 3");
  CHECK_EQ(kept(0.25f), "1 2 3");
  CHECK_EQ(kept(0.35f), "0 1 2 3");
  CHECK_EQ(kept(0.05f), "3");
}

TEST(temperature_divides_and_survives_extremes) {
  OwnedCandidates c = from_logits({1, 3});
  apply_temperature(c, 0.5f);
  CHECK_NEAR(c.items()[1].logit - c.items()[0].logit, 4.0, 1e-6);
  OwnedCandidates tiny = from_logits({1e30f, 2e30f});
  apply_temperature(tiny, 1e-30f);
  CHECK_EQ(tiny.probabilities()[1], 1.0f);
  CHECK_EQ(tiny.probabilities()[0], 0.0f);
}

TEST(penalties_follow_the_formula) {
  SamplerSettings s;
  s.repeat_penalty = 2;
  s.frequency_penalty = 0.5f;
  s.presence_penalty = 0.25f;
  s.repeat_last_n = 3;
  std::vector<uint32_t> scratch(4);
  OwnedCandidates c = from_logits({2, -2, 2, 2});
  apply_penalties(c, s, std::vector<int32_t>{3, 3, 0, 1, 0}, scratch);  // window: 0 1 0
  CHECK_NEAR(logit_of(c, 0), 2.0 / 2 - 2 * 0.5 - 0.25, 1e-6);
  CHECK_NEAR(logit_of(c, 1), -2.0 * 2 - 0.5 - 0.25, 1e-6);
  CHECK_NEAR(logit_of(c, 2), 2.0, 1e-6);
  CHECK_NEAR(logit_of(c, 3), 2.0, 1e-6);
  for (const uint32_t count : scratch) CHECK_EQ(count, 0u);
  s.repeat_last_n = -1;
  OwnedCandidates all = from_logits({2, -2, 2, 2});
  apply_penalties(all, s, std::vector<int32_t>{3, 3, 0, 1, 0}, scratch);
  CHECK_NEAR(logit_of(all, 3), 2.0 / 2 - 2 * 0.5 - 0.25, 1e-6);
  s.repeat_last_n = 0;
  OwnedCandidates none = from_logits({2, -2, 2, 2});
  apply_penalties(none, s, std::vector<int32_t>{0}, scratch);
  CHECK_EQ(logit_of(none, 0), 2.0f);
}

SamplerSettings dry_settings() {
  SamplerSettings s;
  s.dry_multiplier = 1;
  s.dry_base = 2;
  s.dry_allowed_length = 2;
  s.dry_sequence_breakers = {};
  return s;
}

std::vector<float> dry_logits(const SamplerSettings& s, const std::vector<int32_t>& history, const TokenTable* table) {
  std::vector<uint32_t> scratch(10);
  OwnedCandidates c = from_logits(std::vector<float>(10, 0.0f));
  apply_dry(c, s, history, table, scratch);
  for (const uint32_t length : scratch) CHECK_EQ(length, 0u);
  std::vector<float> logits;
  for (int32_t id = 0; id < 10; ++id) logits.push_back(logit_of(c, id));
  return logits;
}

TEST(dry_penalises_what_extends_a_repeat) {
  // "1 2 3 | 9 | 1 2": 3 would extend a repeat of length 2.
  const auto two = dry_logits(dry_settings(), {1, 2, 3, 9, 1, 2}, nullptr);
  CHECK_EQ(two[3], -1.0f);
  CHECK_EQ(two[1], 0.0f);
  // Length 3: one power of the base more.
  CHECK_EQ(dry_logits(dry_settings(), {5, 1, 2, 3, 9, 5, 1, 2}, nullptr)[3], -2.0f);
  // A repeat of length 1 is free.
  CHECK_EQ(dry_logits(dry_settings(), {2, 3, 9, 2}, nullptr)[3], 0.0f);
  // Of several repeats the longest counts; an overlapping one too: 7 7 7 7 extends 3 by 7.
  CHECK_EQ(dry_logits(dry_settings(), {7, 7, 7, 7}, nullptr)[7], -2.0f);
}

TEST(dry_window_and_breakers) {
  SamplerSettings s = dry_settings();
  s.dry_penalty_last_n = 4;
  CHECK_EQ(dry_logits(s, {1, 2, 3, 9, 1, 2}, nullptr)[3], 0.0f);
  s.dry_penalty_last_n = 0;
  CHECK_EQ(dry_logits(s, {1, 2, 3, 9, 1, 2}, nullptr)[3], 0.0f);
  s = dry_settings();
  s.dry_sequence_breakers = {"\n", "ab"};
  const TokenTable table({"zero", "one", "two", "three", "x\n", "xa", "by", "", "eight", "nine"}, {});
  CHECK_EQ(dry_logits(s, {1, 2, 3, 9, 1, 2}, &table)[3], -1.0f);
  // A breaker between the two tokens of the repeat leaves a length of 1.
  CHECK_EQ(dry_logits(s, {1, 4, 2, 3, 9, 1, 4, 2}, &table)[3], 0.0f);
  CHECK_EQ(tokens_after_breaker(std::vector<int32_t>{1, 4, 2, 3}, s.dry_sequence_breakers, table), size_t{2});
  // "xa" + "by" spell the breaker "ab" across two tokens.
  CHECK_EQ(tokens_after_breaker(std::vector<int32_t>{1, 5, 6, 2}, s.dry_sequence_breakers, table), size_t{1});
  CHECK_EQ(tokens_after_breaker(std::vector<int32_t>{1, 5, 2, 6}, s.dry_sequence_breakers, table), size_t{4});
}

TEST(mirostat_limit_keeps_at_least_one) {
  OwnedCandidates c = from_probabilities({0.5, 0.25, 0.125, 0.125});
  keep_surprise_below(c, 2.01f);
  CHECK_EQ(ids(c), "0 1");
  keep_surprise_below(c, 0.0f);
  CHECK_EQ(ids(c), "0");
}

}  // namespace
}  // namespace moebius::test
