// Continuous batching: one worker thread per model decodes all active requests in one step
// and puts prefill chunks of waiting prompts between the steps. A request's tokens do not
// depend on its neighbours: decode rows are computed alone, prefill chunks are cut by the
// request's own prompt. Callbacks run on the worker thread, in order, and never overlap; they
// must be quick and may submit or cancel, but not wait.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/draft_rule.h"
#include "sampling/sampler.h"

namespace moebius {

class Drafter;
class Model;
class Session;

// Speculation: tokens guessed by the model's multi-token-prediction layer are evaluated
// together with the last one, and reported as far as the sampler chooses them as well. The
// answer is the same, token for token, with every setting.
struct DraftSettings {
  static constexpr int64_t kMaxTokens = 8;
  DraftMode mode = DraftMode::kOff;
  int64_t n_tokens = 1;              // guesses for one step, 1 to kMaxTokens
  std::shared_ptr<Drafter> drafter;  // null: the model's own layer
};

struct PromptProgress {
  int64_t tokens_done = 0;  // cached ones included
  int64_t tokens_total = 0;
  int64_t tokens_cached = 0;  // found in the session already
  double ms = 0;              // since the prompt's first step
};

struct TokenEvent {
  int64_t index = 0;     // 0 = first generated
  int64_t position = 0;  // in the sequence
  int32_t id = -1;
  std::string text;  // text completed by this token, valid UTF-8, possibly empty
  std::optional<float> logprob;  // with SamplerSettings::n_probs only
  std::vector<TokenProbability> top;  // SamplerSettings::n_probs of them
  double ms = 0;  // of the step that made it; 0 for a draft that came true in an earlier token's step
};

enum class EndReason {
  kStop,    // a stop token, end of generation or a finished grammar
  kLength,  // max_tokens or max_seq_len reached
  kCancelled,
  kError,
};
const char* end_reason_name(EndReason reason);  // "stop", "length", "cancelled", "error"

struct DraftStats {
  bool is_on = false;  // at the end
  DraftReason reason = DraftReason::kNotAsked;
  int64_t steps = 0;     // decode steps with drafts
  int64_t drafted = 0;   // tokens guessed
  int64_t accepted = 0;  // of those, evaluated rows that were put to use
  double predicted_speedup = 0;  // 0 while unknown
};

struct GenerateStats {
  int64_t prompt_tokens = 0;  // all
  int64_t cached_tokens = 0;  // of those, not evaluated again
  double queue_ms = 0;        // waiting before the first step
  double prompt_ms = 0;
  int64_t generated_tokens = 0;
  double decode_ms = 0;       // from the first token to the last
  double first_token_ms = 0;  // from submit
  DraftStats draft;
};

struct GenerateEnd {
  EndReason reason = EndReason::kStop;
  int32_t stop_id = -1;                         // the token that ended it, not reported as a TokenEvent
  std::string text;                             // rest of the stream decoder: U+FFFD for a broken character
  ErrorCode error_code = ErrorCode::kInternal;  // with kError only
  std::string error_message;
  GenerateStats stats;
};

struct GenerateRequest {
  std::shared_ptr<Session> session;
  // The whole sequence from position 0. The session keeps its longest common prefix with it
  // and forgets the rest. At least one token.
  std::vector<int32_t> prompt;
  int64_t max_tokens = -1;  // < 0: until max_seq_len
  SamplerSettings sampler;
  std::unique_ptr<TokenConstraint> constraint;  // may be null
  std::vector<int32_t> stop_ids;
  bool stop_at_end_of_generation = true;  // of the tokenizer
  bool print_special = false;             // text of control tokens in TokenEvent::text
  DraftSettings draft;

  std::function<void(const PromptProgress&)> on_prompt_progress;
  std::function<void(const TokenEvent&)> on_token;
  std::function<void(const GenerateEnd&)> on_end;  // exactly once, last
};

class Scheduler {
 public:
  explicit Scheduler(std::shared_ptr<Model> model);
  // Cancels what is running, delivers the ends, joins the worker.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Queues the request and returns its id. Throws Error(kBadRequest) for settings or tokens
  // out of range, or a session that another request is using; Error(kContextLength) when the
  // prompt alone does not fit. Later trouble arrives through on_end.
  uint64_t submit(GenerateRequest request);
  // Ends the request within one step (between two layers). Unknown ids are ignored.
  void cancel(uint64_t request_id);
  void cancel_all();
  // Blocks until nothing is queued or running. Not from a callback.
  void wait_until_idle();

  int64_t n_active() const;  // being prefilled or decoded
  int64_t n_queued() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moebius
