// Whether drafting pays: decided from what steps with and without drafts took and how many
// drafts came true, never from a model of the machine. Speculation on a mixture of experts
// loses where a step of two rows costs nearly twice one row's, so it has to be measured.
// Knows neither model nor clock: one generation feeds it, numbers in, a decision out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moebius {

enum class DraftMode { kOff, kAuto, kAlways };
// "off", "auto", "always". Throws Error(kBadRequest) for another name.
DraftMode draft_mode_by_name(const char* name);

enum class DraftReason {
  kNotAsked,
  kNoDraftLayer,  // the model has nothing to draft with
  kAlways,
  kMeasuring,  // no decision yet
  kGains,
  kNoGain,
  kFailed,  // drafting itself went wrong
};
// "not_asked", "no_draft_layer", "always", "measuring", "gains", "no_gain", "failed"
const char* draft_reason_name(DraftReason reason);

class DraftRule {
 public:
  static constexpr size_t kWindow = 32;           // steps that count
  static constexpr int64_t kProbeInterval = 256;  // tokens between two probes
  static constexpr double kOnAbove = 1.05, kOffBelow = 1.0;

  explicit DraftRule(DraftMode mode, bool can_draft = true);

  // Asked for, possible, and not failed: the steps may have to prepare for drafts.
  bool can_ever_draft() const { return mode_ != DraftMode::kOff && can_draft_ && !failed_; }
  // Whether the next step should carry drafts.
  bool wants_drafts() const;
  // What a step took, drafting included. n_sequences: generations that shared it; a change
  // makes the times of before incomparable. n_drafted = 0: a plain step.
  void add_step(double ms, int64_t n_sequences, int64_t n_drafted, int64_t n_accepted);
  // Drafting went wrong: never again.
  void fail();

  bool is_on() const;
  DraftReason reason() const;
  // Tokens per time with drafts, in units of without; 0 while unknown.
  double predicted_speedup() const;

 private:
  // The newest kWindow values.
  class Window {
   public:
    void add(double value);
    void clear() { values_.clear(); }
    size_t size() const { return values_.size(); }
    double mean() const;
    double middle_mean() const;  // of the middle half: one hiccup of the machine decides nothing

   private:
    std::vector<double> values_;
    size_t oldest_ = 0;
  };

  void begin_probe();
  void judge_probe();

  DraftMode mode_;
  bool can_draft_, failed_ = false;
  bool probing_ = true, decided_ = false, on_ = false;
  int64_t probe_steps_ = 0, tokens_since_probe_ = 0, n_sequences_ = 0;
  Window plain_ms_, drafted_ms_, accepted_;
};

}  // namespace moebius
