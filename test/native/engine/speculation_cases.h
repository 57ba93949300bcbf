// What the tests of speculation share: drafters whose guesses are known to be right or wrong,
// and an answer with everything that must not depend on them.
#pragma once

#include <filesystem>
#include <functional>

#include "engine/drafter.h"
#include "engine/model_cases.h"

namespace moebius::test {

// Knows the sequence to come and guesses as told.
class OracleDrafter final : public Drafter {
 public:
  // How many guesses behind `position` are right; the one after them is wrong.
  using Rightness = std::function<int64_t(int64_t position)>;
  OracleDrafter(std::vector<int32_t> sequence, int32_t vocab_size, Rightness n_right)
      : sequence_(std::move(sequence)), vocab_size_(vocab_size), n_right_(std::move(n_right)) {}

  void draft(std::span<DraftTask> tasks) override {
    for (DraftTask& task : tasks) {
      const int64_t position = task.session->position(), n_right = n_right_(position);
      for (int64_t i = 0; i < task.n_wanted; ++i) {
        const size_t at = static_cast<size_t>(position + 1 + i);
        const int32_t truth = at < sequence_.size() ? sequence_[at] : 0;
        task.tokens.push_back(i < n_right ? truth : (truth + 1) % vocab_size_);
      }
    }
  }

 private:
  std::vector<int32_t> sequence_;
  int32_t vocab_size_;
  Rightness n_right_;
};

struct Spoken {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  std::vector<int64_t> positions;
  std::string text;
  GenerateEnd end;
  int ends = 0;
  bool ended = false;
};

// One answer of its own, or part of a common scheduler.
struct Speech {
  std::shared_ptr<Session> session;
  std::vector<int32_t> prompt;
  int64_t max_tokens = 40;
  SamplerSettings sampler;
  DraftSettings draft;
  std::vector<int32_t> stop_ids;
  std::function<std::unique_ptr<TokenConstraint>()> constraint;
  std::function<void(size_t n_tokens)> after_token;

  uint64_t submit(Scheduler& scheduler, Spoken& spoken) const {
    GenerateRequest request;
    request.session = session;
    request.prompt = prompt;
    request.max_tokens = max_tokens;
    request.sampler = sampler;
    request.sampler.n_probs = 2;
    request.draft = draft;
    request.stop_ids = stop_ids;
    request.stop_at_end_of_generation = false;
    if (constraint) request.constraint = constraint();
    request.on_token = [&spoken, after = after_token](const TokenEvent& event) {
      CHECK_EQ(event.index, static_cast<int64_t>(spoken.ids.size()));
      spoken.ids.push_back(event.id);
      spoken.logprobs.push_back(event.logprob.value());
      spoken.positions.push_back(event.position);
      spoken.text += event.text;
      if (after) after(spoken.ids.size());
    };
    request.on_end = [&spoken](const GenerateEnd& end) {
      spoken.end = end;
      ++spoken.ends;
    };
    return scheduler.submit(std::move(request));
  }

  Spoken say(const std::shared_ptr<Model>& model) const {
    Spoken spoken;
    Scheduler scheduler(model);
    submit(scheduler, spoken);
    scheduler.wait_until_idle();
    CHECK_EQ(spoken.ends, 1);
    return spoken;
  }
};

inline SamplerSettings greedy() {
  SamplerSettings settings;
  settings.temperature = 0;
  return settings;
}

// The logits one token further, which depend on every row of the cache.
inline std::vector<float> next_logits(const std::shared_ptr<Session>& session) {
  const int32_t token = 5;
  return flat(session->fork(session->position())->evaluate({&token, 1}));
}

// Same tokens, same logprobs, same end, and sessions that go on alike, bit for bit.
inline void check_same(const Spoken& got, const std::shared_ptr<Session>& session, const Spoken& plain,
                       const std::shared_ptr<Session>& plain_session) {
  CHECK(got.ids == plain.ids);
  CHECK(got.logprobs == plain.logprobs);
  CHECK(got.positions == plain.positions);
  CHECK_EQ(got.text + got.end.text, plain.text + plain.end.text);
  CHECK(got.end.reason == plain.end.reason);
  CHECK_EQ(got.end.stop_id, plain.end.stop_id);
  CHECK_EQ(got.end.stats.generated_tokens, plain.end.stats.generated_tokens);
  CHECK(session->tokens() == plain_session->tokens());
  if (session->position() < session->options().max_seq_len)
    CHECK(next_logits(session) == next_logits(plain_session));
}

inline std::vector<int32_t> first_of(const Golden& golden, size_t n) {
  const std::vector<int32_t>& all = golden.sequences().at("s96");
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n)};
}

inline std::vector<int32_t> joined(std::vector<int32_t> prompt, const std::vector<int32_t>& answer) {
  prompt.insert(prompt.end(), answer.begin(), answer.end());
  return prompt;
}

inline std::shared_ptr<Model> load_demo(int n_threads = 1) {
  LoadOptions options;
  options.n_threads = n_threads;
  return Model::load(std::string(MOEBIUS_RESOURCES) + "/models/moebius-demo-6m.gguf", options);
}

}  // namespace moebius::test
