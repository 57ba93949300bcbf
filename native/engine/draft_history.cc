#include "engine/draft_history.h"

#include <algorithm>

namespace moebius {

namespace {

// While drafting is off, states gather up to the next probe.
constexpr int64_t kUsualStates = 288;

size_t bytes_of(int64_t n_states, int64_t hidden_size) {
  return static_cast<size_t>(n_states * hidden_size) * sizeof(float);
}

}  // namespace

float* DraftHistory::take_room(int64_t position, int64_t n_rows, int64_t hidden_size) {
  if (first_state_ + n_states_ != position) n_states_ = 0;
  if (n_states_ == 0) first_state_ = position;
  const size_t needed = bytes_of(std::max(n_states_ + n_rows, kUsualStates), hidden_size);
  if (states_.size() < needed) {
    PageBuffer larger(needed);
    std::copy_n(states(), n_states_ * hidden_size, larger.as<float>());
    states_ = std::move(larger);
  }
  return states() + n_states_ * hidden_size;
}

void DraftHistory::made_rows(int64_t n, int64_t hidden_size) {
  for (int64_t i = 0; i < n; ++i) positions_.push_back(static_cast<int32_t>(first_state_ + i));
  n_states_ -= n;
  first_state_ += n;
  std::copy_n(states() + n * hidden_size, n_states_ * hidden_size, states());
}

void DraftHistory::trim(int64_t hidden_size) {
  if (states_.size() <= bytes_of(kUsualStates, hidden_size)) return;
  if (n_states_ > kUsualStates) n_states_ = 0;
  PageBuffer usual(bytes_of(kUsualStates, hidden_size));
  std::copy_n(states(), n_states_ * hidden_size, usual.as<float>());
  states_ = std::move(usual);
}

void DraftHistory::truncate(int64_t n) {
  while (!positions_.empty() && positions_.back() + 1 >= n) positions_.pop_back();
  n_states_ = std::clamp<int64_t>(n - first_state_, 0, n_states_);
}

void DraftHistory::clear() {
  positions_.clear();
  n_states_ = 0;
}

void DraftHistory::copy_from(const DraftHistory& other, int64_t n, int64_t hidden_size) {
  positions_ = other.positions_;
  n_states_ = 0;
  if (other.n_states_ > 0) {
    std::copy_n(other.states(), other.n_states_ * hidden_size,
                take_room(other.first_state_, other.n_states_, hidden_size));
    n_states_ = other.n_states_;
  }
  truncate(n);
}

}  // namespace moebius
