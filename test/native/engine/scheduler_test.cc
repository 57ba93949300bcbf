// Continuous batching: tokens do not depend on neighbours, events come in order, every
// request ends exactly once whatever happens to it.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "engine/model_cases.h"

using namespace moebius;
using namespace moebius::test;

namespace {

SamplerSettings greedy_settings() {
  SamplerSettings settings;
  settings.temperature = 0;
  return settings;
}

// Gathers one request's events.
struct Answer {
  std::vector<int32_t> ids;
  std::string text;
  std::vector<int64_t> progress;
  GenerateEnd end;
  int ends = 0;
  std::function<void(size_t)> after_token;

  void listen(GenerateRequest& request) {
    request.on_prompt_progress = [this](const PromptProgress& event) {
      progress.push_back(event.tokens_done);
    };
    request.on_token = [this](const TokenEvent& event) {
      CHECK_EQ(event.index, static_cast<int64_t>(ids.size()));
      ids.push_back(event.id);
      text += event.text;
      if (after_token) after_token(ids.size());
    };
    request.on_end = [this](const GenerateEnd& event) {
      end = event;
      ++ends;
    };
  }
};

GenerateRequest request_for(const std::shared_ptr<Session>& session, std::vector<int32_t> prompt,
                            int64_t max_tokens, Answer& answer) {
  GenerateRequest request;
  request.session = session;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampler = greedy_settings();
  request.stop_at_end_of_generation = false;
  answer.listen(request);
  return request;
}

std::shared_ptr<Model> load_fast(const char* name, std::unique_ptr<Golden>& golden) {
  golden = open_golden(name);
  return golden == nullptr ? nullptr : load_golden(*golden, /*exact=*/false, /*n_threads=*/2);
}

std::vector<int32_t> first_tokens(const Golden& golden, size_t n) {
  const std::vector<int32_t>& all = golden.sequences().at("s96");
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n)};
}

}  // namespace

TEST(batched_answers_equal_lone_answers) {
  for (const char* name : {"deepseek2-v3-q.Q4_K_M", "qwen3moe-q.Q2_K", "gemma3"}) {
    std::unique_ptr<Golden> golden;
    const std::shared_ptr<Model> model = load_fast(name, golden);
    if (model == nullptr) continue;
    constexpr size_t kRequests = 20;
    std::vector<std::vector<int32_t>> alone(kRequests);
    std::vector<Answer> answers(kRequests);
    std::vector<GenerateRequest> requests;
    for (size_t i = 0; i < kRequests; ++i) {
      const std::vector<int32_t> prompt = first_tokens(*golden, 1 + 4 * i);
      alone[i] = greedy_tokens(*open_session(model, 16), prompt, 12 + i % 5);
      requests.push_back(
          request_for(open_session(model, 16), prompt, static_cast<int64_t>(12 + i % 5), answers[i]));
    }
    Scheduler scheduler(model);
    for (GenerateRequest& request : requests) scheduler.submit(std::move(request));
    scheduler.wait_until_idle();
    for (size_t i = 0; i < kRequests; ++i) {
      CHECK(answers[i].ids == alone[i]);
      CHECK_EQ(answers[i].ends, 1);
      CHECK(answers[i].end.reason == EndReason::kLength);
      CHECK_EQ(answers[i].end.stats.prompt_tokens, static_cast<int64_t>(1 + 4 * i));
      CHECK_EQ(answers[i].end.stats.generated_tokens, static_cast<int64_t>(12 + i % 5));
      CHECK_EQ(answers[i].progress.back(), static_cast<int64_t>(1 + 4 * i));
    }
  }
}

TEST(a_second_turn_reuses_the_prefix) {
  std::unique_ptr<Golden> golden;
  const std::shared_ptr<Model> model = load_fast("qwen3moe", golden);
  if (model == nullptr) return;
  const std::shared_ptr<Session> session = open_session(model);
  Scheduler scheduler(model);
  Answer first, second, third;
  scheduler.submit(request_for(session, first_tokens(*golden, 30), 10, first));
  scheduler.wait_until_idle();
  CHECK_EQ(first.end.stats.cached_tokens, 0);
  // The last answer token was sampled but not evaluated yet.
  std::vector<int32_t> turn = first_tokens(*golden, 30);
  turn.insert(turn.end(), first.ids.begin(), first.ids.end());
  turn.insert(turn.end(), {7, 8, 9});
  scheduler.submit(request_for(session, turn, 5, second));
  scheduler.wait_until_idle();
  CHECK_EQ(second.end.stats.cached_tokens, 39);
  CHECK(second.ids == greedy_tokens(*open_session(model), turn, 5));
  // The same prompt again: all but the last token is there already.
  scheduler.submit(request_for(session, turn, 5, third));
  scheduler.wait_until_idle();
  CHECK_EQ(third.end.stats.cached_tokens, static_cast<int64_t>(turn.size()) - 1);
  CHECK(third.ids == second.ids);
}

TEST(stop_ids_end_without_being_reported) {
  std::unique_ptr<Golden> golden;
  const std::shared_ptr<Model> model = load_fast("llama", golden);
  if (model == nullptr) return;
  const std::vector<int32_t> expected = greedy_tokens(*open_session(model), first_tokens(*golden, 9), 8);
  Answer answer;
  GenerateRequest request = request_for(open_session(model), first_tokens(*golden, 9), 50, answer);
  request.stop_ids = {expected[5]};
  Scheduler scheduler(model);
  scheduler.submit(std::move(request));
  scheduler.wait_until_idle();
  CHECK(answer.end.reason == EndReason::kStop);
  CHECK_EQ(answer.end.stop_id, expected[5]);
  const auto stop = std::find(expected.begin(), expected.end(), expected[5]);
  CHECK(answer.ids == std::vector<int32_t>(expected.begin(), stop));
}

TEST(context_end_and_zero_tokens_are_length) {
  std::unique_ptr<Golden> golden;
  const std::shared_ptr<Model> model = load_fast("llama", golden);
  if (model == nullptr) return;
  SessionOptions options;
  options.max_seq_len = 20;
  Answer full, none;
  Scheduler scheduler(model);
  scheduler.submit(request_for(Session::create(model, options), first_tokens(*golden, 15), -1, full));
  scheduler.submit(request_for(open_session(model), first_tokens(*golden, 15), 0, none));
  scheduler.wait_until_idle();
  // Positions 15..19 are evaluated, position 20 would not fit: 6 tokens were sampled.
  CHECK_EQ(full.ids.size(), 6u);
  CHECK(full.end.reason == EndReason::kLength);
  CHECK_EQ(none.ids.size(), 0u);
  CHECK(none.end.reason == EndReason::kLength);
  Answer unused;
  CHECK_THROWS(
      Error, "context length",
      scheduler.submit(request_for(Session::create(model, options), first_tokens(*golden, 21), 1, unused)));
}

TEST(cancel_ends_one_request_only) {
  std::unique_ptr<Golden> golden;
  const std::shared_ptr<Model> model = load_fast("deepseek2-v3", golden);
  if (model == nullptr) return;
  Scheduler scheduler(model);
  Answer cancelled, other;
  std::atomic<uint64_t> id{0};
  cancelled.after_token = [&](size_t n) {
    if (n == 3) scheduler.cancel(id.load());
  };
  GenerateRequest request = request_for(open_session(model), first_tokens(*golden, 20), 200, cancelled);
  const std::shared_ptr<Session> session = request.session;
  std::atomic<bool> go{false};
  request.on_prompt_progress = [&](const PromptProgress&) {
    while (!go.load()) std::this_thread::yield();
  };
  id = scheduler.submit(std::move(request));
  go = true;
  scheduler.submit(request_for(open_session(model), first_tokens(*golden, 30), 20, other));
  scheduler.wait_until_idle();
  CHECK_EQ(cancelled.ids.size(), 3u);
  CHECK(cancelled.end.reason == EndReason::kCancelled);
  CHECK_EQ(other.ids.size(), 20u);
  CHECK(other.end.reason == EndReason::kLength);
  // The session is free again and holds what was evaluated.
  CHECK_EQ(session->position(), 22);
  session->truncate(5);
}

TEST(closing_ends_everything_once) {
  std::unique_ptr<Golden> golden;
  const std::shared_ptr<Model> model = load_fast("deepseek2-v3", golden);
  if (model == nullptr) return;
  std::vector<Answer> answers(6);
  {
    Scheduler scheduler(model);
    for (Answer& answer : answers)
      scheduler.submit(request_for(open_session(model), first_tokens(*golden, 60), 100000, answer));
  }
  for (const Answer& answer : answers) {
    CHECK_EQ(answer.ends, 1);
    CHECK(answer.end.reason == EndReason::kCancelled || answer.end.reason == EndReason::kLength);
  }
}

TEST(bad_requests_are_refused_at_once) {
  std::unique_ptr<Golden> golden;
  const std::shared_ptr<Model> model = load_fast("llama", golden);
  if (model == nullptr) return;
  Scheduler scheduler(model);
  Answer answer;
  const std::shared_ptr<Session> session = open_session(model);
  CHECK_THROWS(Error, "session", scheduler.submit(request_for(nullptr, {1}, 1, answer)));
  CHECK_THROWS(Error, "prompt", scheduler.submit(request_for(session, {}, 1, answer)));
  CHECK_THROWS(Error, "token 0", scheduler.submit(request_for(session, {-5}, 1, answer)));
  GenerateRequest bad_sampler = request_for(session, {1}, 1, answer);
  bad_sampler.sampler.temperature = std::nanf("");
  CHECK_THROWS(Error, "temperature", scheduler.submit(std::move(bad_sampler)));

  // A session has one user at a time, and is free after its request has ended.
  std::atomic<bool> go{false};
  GenerateRequest holding = request_for(session, first_tokens(*golden, 4), 3, answer);
  holding.on_prompt_progress = [&](const PromptProgress&) {
    while (!go.load()) std::this_thread::yield();
  };
  scheduler.submit(std::move(holding));
  Answer second;
  CHECK_THROWS(Error, "used by another", scheduler.submit(request_for(session, {1}, 1, second)));
  CHECK_THROWS(Error, "used by another", session->truncate(0));
  go = true;
  scheduler.wait_until_idle();
  CHECK_EQ(answer.ids.size(), 3u);
  scheduler.submit(request_for(session, {1, 2}, 2, second));
  scheduler.wait_until_idle();
  CHECK_EQ(second.ids.size(), 2u);
}

TEST(text_pieces_join_to_the_decoded_answer) {
  const std::string path = std::string(MOEBIUS_RESOURCES) + "/models/moebius-demo-6m.gguf";
  const std::shared_ptr<Model> model = Model::load(path);
  Answer answer;
  GenerateRequest request =
      request_for(open_session(model), model->tokenizer().encode("Once upon a time"), 40, answer);
  request.sampler.n_probs = 3;
  Scheduler scheduler(model);
  scheduler.submit(std::move(request));
  scheduler.wait_until_idle();
  CHECK_EQ(answer.text + answer.end.text, model->tokenizer().decode(answer.ids));
  CHECK(answer.text.size() > 40);
}
