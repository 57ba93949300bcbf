// The rule that switches drafting on and off, fed with made-up times.
#include "engine/draft_rule.h"

#include "base/error.h"
#include "native/test.h"

using namespace moebius;

namespace {

// A machine with constant times: feeds `n_steps` steps the way the scheduler does and counts
// how many of them carried drafts.
struct Machine {
  double plain_ms = 10, drafted_ms = 14;
  double acceptance = 0.8;
  int64_t n_sequences = 1, n_drafts = 1;
  int64_t n_steps = 0, n_drafted_steps = 0;
  double owed = 0;  // accepted drafts, carried so that the rate comes out exactly

  void run(DraftRule& rule, int64_t steps) {
    n_drafted_steps = 0;
    for (int64_t i = 0; i < steps; ++i, ++n_steps) {
      if (!rule.wants_drafts()) {
        rule.add_step(plain_ms, n_sequences, 0, 0);
        continue;
      }
      ++n_drafted_steps;
      owed += acceptance * static_cast<double>(n_drafts);
      const int64_t accepted = static_cast<int64_t>(owed);
      owed -= static_cast<double>(accepted);
      rule.add_step(drafted_ms, n_sequences, n_drafts, accepted);
    }
  }
};

}  // namespace

TEST(off_and_always_do_not_measure) {
  Machine machine;
  DraftRule off(DraftMode::kOff), always(DraftMode::kAlways), impossible(DraftMode::kAlways, /*can_draft=*/false);
  machine.drafted_ms = 1000;
  machine.run(off, 500);
  CHECK_EQ(machine.n_drafted_steps, 0);
  CHECK(!off.is_on() && off.reason() == DraftReason::kNotAsked);
  machine.run(always, 500);
  CHECK_EQ(machine.n_drafted_steps, 500);
  CHECK(always.is_on() && always.reason() == DraftReason::kAlways);
  machine.run(impossible, 5);
  CHECK_EQ(machine.n_drafted_steps, 0);
  CHECK(!impossible.is_on() && impossible.reason() == DraftReason::kNoDraftLayer);
  always.fail();
  CHECK(!always.wants_drafts() && always.reason() == DraftReason::kFailed);
}

TEST(a_gain_switches_on_and_stays) {
  DraftRule rule(DraftMode::kAuto);
  Machine machine;  // 1.8 tokens in 1.4 times the time
  CHECK(rule.is_on() && rule.reason() == DraftReason::kMeasuring);
  CHECK_NEAR(rule.predicted_speedup(), 0, 0);
  machine.run(rule, 30);
  CHECK(rule.is_on() && rule.reason() == DraftReason::kGains);
  CHECK_NEAR(rule.predicted_speedup(), 1.8 / 1.4, 0.06);
  machine.run(rule, 100);
  CHECK_EQ(machine.n_drafted_steps, 100);
}

TEST(a_loss_switches_off_and_is_probed_again) {
  DraftRule rule(DraftMode::kAuto);
  Machine machine;
  machine.drafted_ms = 19.4;  // experts streamed: 1.94 times the bytes for 1.8 tokens
  machine.run(rule, 30);
  CHECK(!rule.is_on() && rule.reason() == DraftReason::kNoGain);
  machine.run(rule, DraftRule::kProbeInterval - 40);
  CHECK_EQ(machine.n_drafted_steps, 0);
  // The next probe sees a machine that has become better at it.
  machine.drafted_ms = 13;
  machine.run(rule, 40 + 30);
  CHECK(rule.is_on() && rule.reason() == DraftReason::kGains);
}

TEST(between_the_bounds_a_decision_stands) {
  Machine machine;
  machine.acceptance = 0.5;
  machine.drafted_ms = 15 / 1.02;
  DraftRule undecided(DraftMode::kAuto);
  machine.run(undecided, 600);
  CHECK(!undecided.is_on());
  CHECK_NEAR(undecided.predicted_speedup(), 1.02, 0.05);

  DraftRule on(DraftMode::kAuto);
  machine.drafted_ms = 10;
  machine.run(on, 40);
  CHECK(on.is_on());
  machine.drafted_ms = 15 / 1.02;
  machine.run(on, 150);
  CHECK(on.is_on());
  machine.drafted_ms = 15 / 0.95;
  machine.run(on, 60);
  CHECK(!on.is_on() && on.reason() == DraftReason::kNoGain);
}

TEST(falling_acceptance_switches_off) {
  DraftRule rule(DraftMode::kAuto);
  Machine machine;
  machine.run(rule, 60);
  CHECK(rule.is_on());
  machine.acceptance = 0.1;
  machine.run(rule, static_cast<int64_t>(DraftRule::kWindow) + 2);
  CHECK(!rule.is_on());
}

TEST(several_drafts_count_with_all_their_tokens) {
  DraftRule rule(DraftMode::kAuto);
  Machine machine;
  machine.n_drafts = 4;
  machine.acceptance = 0.6;  // 3.4 tokens a step
  machine.drafted_ms = 25;
  machine.run(rule, 60);
  CHECK(rule.is_on());
  CHECK_NEAR(rule.predicted_speedup(), 3.4 / 2.5, 0.05);
}

TEST(one_hiccup_decides_nothing) {
  DraftRule rule(DraftMode::kAuto);
  Machine machine;
  machine.run(rule, 60);
  rule.add_step(5000, 1, 1, 1);
  CHECK(rule.is_on());
  CHECK_NEAR(rule.predicted_speedup(), 1.8 / 1.4, 0.06);
}

TEST(other_company_makes_times_incomparable) {
  DraftRule rule(DraftMode::kAuto);
  Machine machine;
  machine.run(rule, 60);
  CHECK(rule.is_on());
  // Eight requests share a step now: its time says nothing against that of one.
  machine.n_sequences = 8;
  machine.drafted_ms = 60;
  machine.run(rule, 5);
  CHECK(rule.is_on());
  CHECK_NEAR(rule.predicted_speedup(), 0, 0);
  // The next probe knows what a plain step of eight takes.
  machine.plain_ms = 30;
  machine.run(rule, DraftRule::kProbeInterval);
  CHECK(!rule.is_on());
}

TEST(modes_have_names) {
  CHECK(draft_mode_by_name("auto") == DraftMode::kAuto);
  CHECK(draft_mode_by_name("off") == DraftMode::kOff);
  CHECK(draft_mode_by_name("always") == DraftMode::kAlways);
  CHECK_THROWS(Error, "draft mode", draft_mode_by_name("sometimes"));
  CHECK_EQ(std::string(draft_reason_name(DraftReason::kNoGain)), "no_gain");
}
