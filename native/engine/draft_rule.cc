#include "engine/draft_rule.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"

namespace moebius {

namespace {

// A probe takes a plain step, then two with drafts, and so on, so that both kinds see the
// same machine. Clear cases are decided after half of it.
constexpr int64_t kProbeCycle = 3;
constexpr size_t kProbePlain = 8, kProbeDrafted = 16;
constexpr double kClearLoss = 0.85, kClearGain = 1.2;
// Fewer values than this predict nothing.
constexpr size_t kLeastValues = 4;

}  // namespace

DraftMode draft_mode_by_name(const char* name) {
  if (std::strcmp(name, "off") == 0) return DraftMode::kOff;
  if (std::strcmp(name, "auto") == 0) return DraftMode::kAuto;
  if (std::strcmp(name, "always") == 0) return DraftMode::kAlways;
  throw Error(ErrorCode::kBadRequest, format_text("draft mode: expected off, auto or always, got '%.32s'", name));
}

const char* draft_reason_name(DraftReason reason) {
  switch (reason) {
    case DraftReason::kNotAsked:
      return "not_asked";
    case DraftReason::kNoDraftLayer:
      return "no_draft_layer";
    case DraftReason::kAlways:
      return "always";
    case DraftReason::kMeasuring:
      return "measuring";
    case DraftReason::kGains:
      return "gains";
    case DraftReason::kNoGain:
      return "no_gain";
    case DraftReason::kFailed:
      return "failed";
  }
  return "";
}

void DraftRule::Window::add(double value) {
  if (values_.size() < kWindow) {
    oldest_ = 0;
    values_.push_back(value);
    return;
  }
  values_[oldest_] = value;
  oldest_ = (oldest_ + 1) % kWindow;
}

double DraftRule::Window::mean() const {
  return values_.empty() ? 0 : std::accumulate(values_.begin(), values_.end(), 0.0) / static_cast<double>(size());
}

double DraftRule::Window::middle_mean() const {
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const auto edge = static_cast<std::ptrdiff_t>(sorted.size() / 4);
  const auto begin = sorted.begin() + edge, end = sorted.end() - edge;
  return begin == end ? 0 : std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
}

DraftRule::DraftRule(DraftMode mode, bool can_draft) : mode_(mode), can_draft_(can_draft) {}

bool DraftRule::wants_drafts() const {
  if (!can_ever_draft()) return false;
  if (mode_ == DraftMode::kAlways) return true;
  return probing_ ? probe_steps_ % kProbeCycle != 0 : on_;
}

void DraftRule::add_step(double ms, int64_t n_sequences, int64_t n_drafted, int64_t n_accepted) {
  if (n_sequences != n_sequences_) {
    plain_ms_.clear();
    drafted_ms_.clear();
    n_sequences_ = n_sequences;
  }
  (n_drafted > 0 ? drafted_ms_ : plain_ms_).add(ms);
  if (n_drafted > 0) accepted_.add(static_cast<double>(n_accepted));
  if (mode_ != DraftMode::kAuto) return;
  if (probing_) {
    ++probe_steps_;
    return judge_probe();
  }
  tokens_since_probe_ += 1 + n_accepted;
  const double speedup = predicted_speedup();
  if (on_ && speedup > 0 && speedup < kOffBelow) {
    on_ = false;
    tokens_since_probe_ = 0;
  }
  if (tokens_since_probe_ >= kProbeInterval) begin_probe();
}

void DraftRule::begin_probe() {
  probing_ = true;
  probe_steps_ = 0;
  plain_ms_.clear();
  drafted_ms_.clear();
  accepted_.clear();
}

void DraftRule::judge_probe() {
  const double speedup = predicted_speedup();
  const bool is_clear = plain_ms_.size() >= kProbePlain / 2 && drafted_ms_.size() >= kProbeDrafted / 2 &&
                        (speedup < kClearLoss || speedup > kClearGain);
  const bool is_full = plain_ms_.size() >= kProbePlain && drafted_ms_.size() >= kProbeDrafted;
  if (!is_clear && !is_full) return;
  // Between the two bounds a decision stands.
  if (speedup > kOnAbove) on_ = true;
  if (speedup < kOffBelow) on_ = false;
  decided_ = true;
  probing_ = false;
  tokens_since_probe_ = 0;
}

void DraftRule::fail() { failed_ = true; }

bool DraftRule::is_on() const {
  if (!can_ever_draft()) return false;
  return mode_ == DraftMode::kAlways || !decided_ || on_;
}

DraftReason DraftRule::reason() const {
  if (mode_ == DraftMode::kOff) return DraftReason::kNotAsked;
  if (!can_draft_) return DraftReason::kNoDraftLayer;
  if (failed_) return DraftReason::kFailed;
  if (mode_ == DraftMode::kAlways) return DraftReason::kAlways;
  if (!decided_) return DraftReason::kMeasuring;
  return on_ ? DraftReason::kGains : DraftReason::kNoGain;
}

double DraftRule::predicted_speedup() const {
  if (plain_ms_.size() < kLeastValues || drafted_ms_.size() < kLeastValues || accepted_.size() < kLeastValues)
    return 0;
  const double drafted = drafted_ms_.middle_mean();
  return drafted > 0 ? (1 + accepted_.mean()) * plain_ms_.middle_mean() / drafted : 0;
}

}  // namespace moebius
