// A session is one inference timeline: the tokens evaluated so far and the cache rows they
// left. Several sessions share one model; steps of the same model run one after another. A
// session may be used from any thread, but by one caller at a time: a call that changes it
// while another runs throws Error(kBadRequest). position() and tokens() never wait for a
// step. A failed or cancelled step (one prefill chunk or one decoded token) leaves the
// session where it was before that step.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/page_buffer.h"
#include "kernels/kernels.h"
#include "model/step_options.h"
#include "routing/routing_trace.h"

namespace moebius {

class Model;

// [n_rows, vocab_size] f32.
class Logits {
 public:
  Logits() = default;
  Logits(int64_t n_rows, int64_t vocab_size);
  int64_t n_rows() const { return n_rows_; }
  int64_t vocab_size() const { return vocab_size_; }
  std::span<float> row(int64_t index) {
    return {data_.as<float>() + index * vocab_size_, static_cast<size_t>(vocab_size_)};
  }
  std::span<const float> row(int64_t index) const {
    return {data_.as<float>() + index * vocab_size_, static_cast<size_t>(vocab_size_)};
  }

 private:
  PageBuffer data_;
  int64_t n_rows_ = 0;
  int64_t vocab_size_ = 0;
};

enum class WantLogits { kNone, kLast, kAll };

struct SessionOptions {
  int64_t max_seq_len = 0;  // 0 = the model's
  CacheFormat cache_format = CacheFormat::kF16;
  int64_t prefill_chunk = 0;  // tokens per prefill step; 0 = by the model's shape
};

struct EvaluateOptions {
  WantLogits want_logits = WantLogits::kLast;
  const std::atomic<bool>* cancel = nullptr;  // looked at before every layer
  MlaForm mla_form = MlaForm::kAuto;
  HiddenObserver hidden_observer;
  // After every prefill step: tokens done of tokens given.
  std::function<void(int64_t done, int64_t total)> on_progress;
};

class Session {
 public:
  // Reserves the address space of the whole cache; rows take memory when first written.
  // Throws Error(kBadRequest) for a max_seq_len the model cannot serve.
  static std::shared_ptr<Session> create(std::shared_ptr<Model> model, SessionOptions options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::shared_ptr<Model>& model() const;
  const SessionOptions& options() const;  // with defaults resolved
  int64_t position() const;               // tokens in the cache
  std::vector<int32_t> tokens() const;    // those tokens
  uint64_t cache_bytes_used() const;
  uint64_t cache_bytes_total() const;

  // Appends tokens: prefill in chunks, or one decode step for a single token.
  // Throws Error(kContextLength) before any work when they do not fit, Error(kCancelled),
  // Error(kBadRequest) for an id outside the vocabulary. Empty input gives empty logits.
  Logits evaluate(std::span<const int32_t> tokens, const EvaluateOptions& options = {});

  // Length of the common prefix of `tokens` and the session's tokens.
  int64_t common_prefix(std::span<const int32_t> tokens) const;
  // Drops everything from position n on. Throws Error(kBadRequest) for n > position().
  void truncate(int64_t n);
  // Drops positions [begin, end) and moves the later ones down, rotating their keys to the
  // new positions. Approximates a recompute: later rows still saw the dropped tokens.
  void shift(int64_t begin, int64_t end);
  // A new session of the same model with the first n tokens copied.
  std::shared_ptr<Session> fork(int64_t n) const;
  std::shared_ptr<Session> fork(int64_t n, SessionOptions options) const;

  // Writes tokens and cache rows. restore() continues bit for bit; it throws Error(kGguf)
  // for a file that is damaged or belongs to another model or cache layout, and leaves the
  // session as it was.
  void save_snapshot(const std::string& path) const;
  void restore_snapshot(const std::string& path);

  // null removes it.
  void set_routing_observer(std::shared_ptr<RoutingObserver> observer);

  struct State;
  State& state() { return *state_; }
  const State& state() const { return *state_; }

 private:
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moebius
