// Speculation changes no token: greedy and sampled answers with drafts that are all right, all
// wrong or anything between equal the plain ones, in tokens, log-probabilities, ends, and in
// the session they leave behind.
#include "engine/constraint.h"
#include "engine/speculation_cases.h"
#include "kernels/backend.h"

using namespace moebius;
using namespace moebius::test;

namespace {

struct Rightness {
  const char* name;
  OracleDrafter::Rightness n_right;
};
const std::vector<Rightness>& rightnesses() {
  static const std::vector<Rightness> all = {
      {"all right", [](int64_t) { return int64_t{99}; }},
      {"all wrong", [](int64_t) { return int64_t{0}; }},
      {"some right", [](int64_t position) { return position * 7 % 5; }},
  };
  return all;
}

DraftSettings oracle(const std::vector<int32_t>& sequence, const std::shared_ptr<Model>& model,
                     const OracleDrafter::Rightness& n_right, int64_t n_tokens) {
  DraftSettings draft;
  draft.mode = DraftMode::kAlways;
  draft.n_tokens = n_tokens;
  draft.drafter = std::make_shared<OracleDrafter>(sequence, static_cast<int32_t>(model->info().vocab_size), n_right);
  return draft;
}

DraftSettings own_layer(DraftMode mode, int64_t n_tokens) {
  DraftSettings draft;
  draft.mode = mode;
  draft.n_tokens = n_tokens;
  return draft;
}

// Every oracle, and the model's own layer where it has one, against the plain answer.
void check_all_drafts(const std::shared_ptr<Model>& model, const Speech& speech,
                      const std::function<std::shared_ptr<Session>()>& open) {
  Speech plain = speech;
  plain.session = open();
  const Spoken expected = plain.say(model);
  CHECK(expected.end.stats.draft.reason == DraftReason::kNotAsked);
  CHECK_EQ(expected.end.stats.draft.drafted, 0);
  const auto check = [&](const DraftSettings& draft) {
    Speech drafted = speech;
    drafted.session = open();
    drafted.draft = draft;
    const Spoken got = drafted.say(model);
    check_same(got, drafted.session, expected, plain.session);
    return got.end.stats.draft;
  };
  for (const Rightness& each : rightnesses())
    for (const int64_t n_tokens : {1, 3, 8}) {
      const DraftStats stats = check(oracle(joined(speech.prompt, expected.ids), model, each.n_right, n_tokens));
      if (std::string(each.name) == "all wrong") CHECK_EQ(stats.accepted, 0);
      if (std::string(each.name) == "all right" && expected.ids.size() > 30) {
        CHECK(stats.accepted * 10 > stats.drafted * 9);
        CHECK(stats.steps * (n_tokens + 1) <= static_cast<int64_t>(expected.ids.size()) + n_tokens);
      }
    }
  for (const DraftMode mode : {DraftMode::kAuto, DraftMode::kAlways})
    for (const int64_t n_tokens : {1, 2, 5}) {
      const DraftStats stats = check(own_layer(mode, n_tokens));
      const bool has_layer = model->info().n_mtp_layers > 0;
      CHECK(has_layer || stats.drafted == 0);
      CHECK(!has_layer || stats.drafted > 0 || expected.ids.size() < 5);
      CHECK((stats.reason == DraftReason::kNoDraftLayer) == !has_layer);
    }
}

}  // namespace

TEST(greedy_text_is_the_same_with_any_drafts) {
  struct Case {
    const char* name;
    bool exact;
    CacheFormat format;
  };
  for (const Case& c : {Case{"deepseek2-v3-mtp", true, CacheFormat::kF32}, Case{"deepseek2-v3-mtp", false, CacheFormat::kF16},
                        Case{"deepseek2-v3-q.Q4_K_M", false, CacheFormat::kQ8_0},
                        Case{"qwen3moe-q.Q2_K", false, CacheFormat::kF16}, Case{"gemma3", false, CacheFormat::kF16},
                        Case{"gpt-oss", false, CacheFormat::kF32}, Case{"glm4moe", true, CacheFormat::kF16}}) {
    const std::unique_ptr<Golden> golden = open_golden(c.name);
    if (golden == nullptr) continue;
    const std::shared_ptr<Model> model = load_golden(*golden, c.exact, /*n_threads=*/2);
    Speech speech;
    speech.prompt = first_of(*golden, 21);
    speech.sampler = greedy();
    check_all_drafts(model, speech, [&] { return open_session(model, 8, c.format); });
  }
}

TEST(every_level_verifies_rows_as_it_decodes_them) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-q.Q4_K_M");
  if (golden == nullptr) return;
  for (const std::string& level : cpu_levels()) {
    LoadOptions options;
    options.backend = "cpu:" + level;
    options.n_threads = 2;
    const std::shared_ptr<Model> model = Model::load(golden->gguf_path(), options);
    Speech speech;
    speech.prompt = first_of(*golden, 33);
    speech.sampler = greedy();
    check_all_drafts(model, speech, [&] { return open_session(model, 0, CacheFormat::kF16); });
  }
}

TEST(sampled_text_is_the_same_with_any_drafts) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false, /*n_threads=*/2);
  std::vector<SamplerSettings> all(6);
  all[1].temperature = 1.5f;
  all[1].repeat_penalty = 1.3f;
  all[1].frequency_penalty = 0.5f;
  all[1].presence_penalty = 0.5f;
  all[2].dry_multiplier = 0.8f;
  all[2].dry_allowed_length = 1;
  all[3].mirostat = true;
  all[3].mirostat_tau = 3;
  all[4].xtc_probability = 0.5f;
  all[4].xtc_threshold = 0.05f;
  all[4].n_probs = 3;
  all[5].typical_p = 0.7f;
  all[5].order = {"typical_p", "temperature", "penalties"};
  for (uint64_t seed = 0; seed < all.size(); ++seed) {
    Speech speech;
    speech.prompt = first_of(*golden, 9);
    speech.sampler = all[seed];
    speech.sampler.seed = seed;
    check_all_drafts(model, speech, [&] { return open_session(model); });
  }
}

TEST(grammars_and_schemas_hold_with_drafts) {
  const std::shared_ptr<Model> model = load_demo();
  const std::string schema =
      R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer"},)"
      R"("tags":{"type":"array","items":{"enum":["red","green"]},"maxItems":3}},"required":["name","age","tags"]})";
  for (const float temperature : {0.0f, 1.0f}) {
    Speech speech;
    speech.prompt = model->tokenizer().encode("Once upon a time");
    speech.sampler.temperature = temperature;
    speech.sampler.seed = 4;
    speech.max_tokens = 60;
    speech.constraint = [&] { return json_schema_constraint(*model, schema); };
    check_all_drafts(model, speech, [&] { return open_session(model); });
    speech.constraint = [&] { return grammar_constraint(*model, "root ::= (\"a\" | \"bc\")+ \".\""); };
    check_all_drafts(model, speech, [&] { return open_session(model); });
  }
}

TEST(stop_ids_end_inside_a_draft) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false);
  Speech speech;
  speech.prompt = first_of(*golden, 11);
  speech.sampler = greedy();
  speech.session = open_session(model);
  const std::vector<int32_t> ids = speech.say(model).ids;
  for (size_t at = 0; at < 9; ++at) {
    Speech stopped = speech;
    stopped.stop_ids = {ids[at]};
    check_all_drafts(model, stopped, [&] { return open_session(model); });
  }
}

TEST(limits_end_inside_a_draft) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false);
  Speech speech;
  speech.prompt = first_of(*golden, 11);
  speech.sampler = greedy();
  for (const int64_t max_tokens : {0, 1, 2, 3, 5, 10}) {
    speech.max_tokens = max_tokens;
    check_all_drafts(model, speech, [&] { return open_session(model); });
  }
  speech.max_tokens = -1;
  for (const int64_t max_seq_len : {11, 12, 13, 16, 19}) {
    check_all_drafts(model, speech, [&] {
      SessionOptions options;
      options.max_seq_len = max_seq_len;
      return Session::create(model, options);
    });
  }
}

TEST(cancel_ends_inside_a_draft) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false);
  Speech plain;
  plain.prompt = first_of(*golden, 14);
  plain.sampler = greedy();
  plain.session = open_session(model);
  const std::vector<int32_t> ids = plain.say(model).ids;
  for (const size_t n : {2u, 3u, 7u}) {
    Scheduler scheduler(model);
    Speech drafted = plain;
    drafted.session = open_session(model);
    drafted.draft = oracle(joined(plain.prompt, ids), model, [](int64_t) { return 99; }, 8);
    drafted.after_token = [&](size_t count) {
      if (count == n) scheduler.cancel_all();
    };
    Spoken got;
    drafted.submit(scheduler, got);
    scheduler.wait_until_idle();
    CHECK(got.ids == std::vector<int32_t>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n)));
    CHECK(got.end.reason == EndReason::kCancelled);
    // As a plain answer leaves it: all but the last token evaluated.
    CHECK_EQ(drafted.session->position(), static_cast<int64_t>(14 + n - 1));
    const std::shared_ptr<Session> fresh = open_session(model);
    fresh->evaluate(plain.prompt);
    for (size_t i = 0; i + 1 < n; ++i) fresh->evaluate({&ids[i], 1});
    CHECK(next_logits(drafted.session) == next_logits(fresh));
  }
}

TEST(sessions_side_by_side_draft_on_their_own) {
  const std::shared_ptr<Model> model = load_demo(/*n_threads=*/2);
  const std::vector<int32_t> story = model->tokenizer().encode(
      "Once upon a time, there was a little girl named Lily. She had a big dog. One day, they went to the park.");
  constexpr size_t kRequests = 7;
  std::vector<Speech> speeches(kRequests), plain(kRequests);
  std::vector<Spoken> got(kRequests), expected(kRequests);
  for (size_t i = 0; i < kRequests; ++i) {
    plain[i].prompt.assign(story.begin(), story.begin() + static_cast<std::ptrdiff_t>(2 + 3 * i));
    plain[i].sampler.temperature = i % 2 == 0 ? 0.0f : 0.9f;
    plain[i].sampler.seed = i;
    plain[i].max_tokens = static_cast<int64_t>(20 + 7 * i);
    plain[i].session = open_session(model);
    expected[i] = plain[i].say(model);
    speeches[i] = plain[i];
    speeches[i].session = open_session(model);
    if (i % 3 == 0) speeches[i].draft = own_layer(DraftMode::kAlways, static_cast<int64_t>(1 + i));
    if (i % 3 == 1) speeches[i].draft = own_layer(DraftMode::kAuto, 2);
  }
  Scheduler scheduler(model);
  for (size_t i = 0; i < kRequests; ++i) speeches[i].submit(scheduler, got[i]);
  scheduler.wait_until_idle();
  for (size_t i = 0; i < kRequests; ++i) {
    check_same(got[i], speeches[i].session, expected[i], plain[i].session);
    CHECK((got[i].end.stats.draft.drafted > 0) == (i % 3 != 2));
  }
}

// Turns with and without drafts in any order, on one session.
TEST(later_turns_reuse_what_drafts_left) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false);
  const std::shared_ptr<Session> session = open_session(model, 16), plain_session = open_session(model, 16);
  std::vector<int32_t> prompt = first_of(*golden, 30);
  for (const DraftMode mode : {DraftMode::kAlways, DraftMode::kOff, DraftMode::kAlways, DraftMode::kAuto}) {
    Speech plain, drafted;
    plain.prompt = drafted.prompt = prompt;
    plain.max_tokens = drafted.max_tokens = 11;
    plain.sampler = drafted.sampler = greedy();
    plain.session = plain_session;
    drafted.session = session;
    drafted.draft = own_layer(mode, 3);
    const Spoken expected = plain.say(model), got = drafted.say(model);
    check_same(got, session, expected, plain_session);
    CHECK_EQ(got.end.stats.cached_tokens, expected.end.stats.cached_tokens);
    // The next turn keeps part of the answer only.
    prompt = joined(prompt, {got.ids.begin(), got.ids.begin() + 6});
    prompt.insert(prompt.end(), {7, 8, 9});
  }
}

TEST(drafts_survive_snapshots_forks_and_shifts) {
  const std::shared_ptr<Model> model = load_demo();
  Speech speech;
  speech.prompt = model->tokenizer().encode("Once upon a time, there was a little girl named Lily.");
  speech.sampler = greedy();
  speech.max_tokens = 30;
  speech.session = open_session(model);
  speech.draft = own_layer(DraftMode::kAlways, 1);
  const Spoken first = speech.say(model);
  const std::string path = (std::filesystem::temp_directory_path() / "moebius-test-drafts.bin").string();
  speech.session->save_snapshot(path);
  const std::shared_ptr<Session> restored = open_session(model);
  restored->restore_snapshot(path);
  std::filesystem::remove(path);
  CHECK(restored->state().drafts.n_rows() > 20);
  const std::shared_ptr<Session> shifted = restored->fork(restored->position());
  shifted->shift(3, 8);
  CHECK_EQ(shifted->state().drafts.n_rows(), 0);

  Speech next = speech;
  next.prompt = joined(speech.prompt, first.ids);
  Spoken expected;
  {
    Speech plain = next;
    plain.draft = {};
    plain.session = speech.session->fork(speech.session->position());
    expected = plain.say(model);
  }
  for (const std::shared_ptr<Session>& session :
       {restored, restored->fork(restored->position()), restored->fork(20), speech.session}) {
    Speech again = next;
    again.session = session;
    const Spoken got = again.say(model);
    if (got.end.stats.cached_tokens == expected.end.stats.cached_tokens) CHECK(got.ids == expected.ids);
    CHECK(got.end.stats.draft.accepted * 4 > got.end.stats.draft.drafted);
  }
}

// The layer learnt to guess: most guesses come true, chained ones less often.
TEST(the_demo_accepts_its_own_drafts) {
  const std::shared_ptr<Model> model = load_demo();
  double last_rate = 1;
  for (const int64_t n_tokens : {1, 4}) {
    Speech speech;
    speech.prompt = model->tokenizer().encode("Once upon a time, there was a little girl named Lily.");
    speech.sampler = greedy();
    speech.max_tokens = 200;
    speech.session = open_session(model);
    speech.draft = own_layer(DraftMode::kAlways, n_tokens);
    const DraftStats stats = speech.say(model).end.stats.draft;
    const double rate = static_cast<double>(stats.accepted) / static_cast<double>(stats.drafted);
    CHECK(stats.is_on && stats.reason == DraftReason::kAlways);
    CHECK(rate > (n_tokens == 1 ? 0.5 : 0.2) && rate <= last_rate);
    last_rate = rate;
  }
}

TEST(a_drafter_that_fails_costs_no_answer) {
  class Failing final : public Drafter {
   public:
    void draft(std::span<DraftTask>) override { throw Error(ErrorCode::kInternal, "no idea"); }
  };
  class Nonsense final : public Drafter {
   public:
    void draft(std::span<DraftTask> tasks) override { tasks[0].tokens = {3, -5, 1 << 30, 4, 4, 4, 4, 4, 4, 4}; }
  };
  const std::unique_ptr<Golden> golden = open_golden("qwen3moe");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false);
  Speech plain;
  plain.prompt = first_of(*golden, 5);
  plain.sampler = greedy();
  plain.session = open_session(model);
  const Spoken expected = plain.say(model);
  Speech drafted = plain;
  drafted.draft = own_layer(DraftMode::kAlways, 4);
  drafted.draft.drafter = std::make_shared<Failing>();
  drafted.session = open_session(model);
  const Spoken failed = drafted.say(model);
  check_same(failed, drafted.session, expected, plain.session);
  CHECK(failed.end.stats.draft.reason == DraftReason::kFailed);
  CHECK(!failed.end.stats.draft.is_on);
  drafted.draft.drafter = std::make_shared<Nonsense>();
  drafted.session = open_session(model);
  const Spoken nonsense = drafted.say(model);
  check_same(nonsense, drafted.session, expected, plain.session);
  CHECK_EQ(nonsense.end.stats.draft.drafted, nonsense.end.stats.draft.steps);
}

TEST(draft_settings_out_of_range_are_refused) {
  const std::shared_ptr<Model> model = load_demo();
  Scheduler scheduler(model);
  Spoken unused;
  for (const int64_t n_tokens : {0, 9, -1}) {
    Speech speech;
    speech.session = open_session(model);
    speech.prompt = {1, 2};
    speech.draft = own_layer(DraftMode::kAlways, n_tokens);
    CHECK_THROWS(Error, "draft tokens", speech.submit(scheduler, unused));
  }
}

// Both traces name the same tokens, positions and experts: rejected rows leave no mark.
TEST(the_routing_trace_sees_accepted_rows_only) {
  const std::unique_ptr<Golden> golden = open_golden("deepseek2-v3-mtp");
  if (golden == nullptr) return;
  const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/false);
  const auto trace_of = [&](const DraftSettings& draft, std::vector<int32_t>& ids) {
    Speech speech;
    speech.prompt = first_of(*golden, 12);
    speech.sampler = greedy();
    speech.session = open_session(model);
    speech.draft = draft;
    const auto trace = std::make_shared<RoutingTrace>(model->moe_layers(), model->info().n_routed_experts,
                                                      model->info().n_active_experts, 1000);
    speech.session->set_routing_observer(trace);
    ids = speech.say(model).ids;
    return trace->drain();
  };
  std::vector<int32_t> ids, drafted_ids;
  const RoutingDrain expected = trace_of({}, ids);
  const std::vector<int32_t> sequence = joined(first_of(*golden, 12), ids);
  for (const Rightness& each : rightnesses()) {
    const RoutingDrain got = trace_of(oracle(sequence, model, each.n_right, 3), drafted_ids);
    CHECK(drafted_ids == ids);
    CHECK_EQ(got.decode.n_tokens, expected.decode.n_tokens);
    CHECK_EQ(got.prefill.n_tokens, 12);
    CHECK(got.decode.counts == expected.decode.counts);
    CHECK_EQ(got.records.size(), expected.records.size());
    for (size_t i = 0; i < got.records.size(); ++i) {
      CHECK_EQ(got.records[i].token_id, expected.records[i].token_id);
      CHECK_EQ(got.records[i].position, expected.records[i].position);
      CHECK(got.records[i].expert_ids == expected.records[i].expert_ids);
      CHECK(got.records[i].routing_weights == expected.records[i].routing_weights);
    }
  }
  const RoutingDrain own = trace_of(own_layer(DraftMode::kAlways, 2), drafted_ids);
  CHECK(own.decode.counts == expected.decode.counts);
}
