// What Model and Session hide. One mutex per model orders the steps: the thread pool and the
// scratch belong to whoever runs one.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "engine/draft_history.h"
#include "engine/engine.h"
#include "formats/gguf_model_file.h"
#include "kernels/backend.h"
#include "kernels/scratch.h"
#include "model/forward.h"
#include "sampling/token_table.h"

namespace moebius {

struct Model::State {
  std::unique_ptr<GgufModelFile> file;  // keeps the weights mapped
  DecoderModel decoder;
  ModelInfo info;
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<const TokenTable> token_table;
  Backend* backend = nullptr;
  bool exact = false;
  KernelThresholds thresholds;
  bool bf16_attention = false;
  bool vocabulary_only = false;

  std::mutex step_mutex;
  std::unique_ptr<ThreadPool> pool;
  Scratch scratch;

  // To be used under step_mutex; resets the scratch.
  OpContext begin_step(Phase phase);
};

struct Session::State {
  std::shared_ptr<Model> model;
  SessionOptions options;
  std::unique_ptr<SequenceCache> cache;
  std::shared_ptr<RoutingObserver> routing_observer;  // changed under step_mutex
  // Changed by the session's current user only, under tokens_mutex for those who just look.
  std::vector<int32_t> tokens;
  mutable std::mutex tokens_mutex;
  mutable std::atomic<bool> in_use{false};
  DraftHistory drafts;  // of the MTP layer; the current user's
  // Waits to be told how many rows of a step with drafts count (step.h).
  std::shared_ptr<RoutingObserver> open_observer;

  Model::State& model_state() const { return model->state(); }
  int64_t position() const { return static_cast<int64_t>(tokens.size()); }
  void set_tokens(std::vector<int32_t> all) {
    const std::lock_guard<std::mutex> lock(tokens_mutex);
    tokens = std::move(all);
    drafts.clear();
  }
  void resize(int64_t n) {
    const std::lock_guard<std::mutex> lock(tokens_mutex);
    tokens.resize(static_cast<size_t>(n));
    drafts.truncate(n);
  }
  void append(std::span<const int32_t> more) {
    const std::lock_guard<std::mutex> lock(tokens_mutex);
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
};

// The one caller a session has. Throws Error(kBadRequest) when there is another.
class SessionUse {
 public:
  explicit SessionUse(const Session::State& session);
  ~SessionUse() { release(); }
  SessionUse(SessionUse&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
  SessionUse(const SessionUse&) = delete;
  SessionUse& operator=(const SessionUse&) = delete;
  void release();

 private:
  const Session::State* session_;
};

}  // namespace moebius
