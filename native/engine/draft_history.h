// What the MTP layer remembers of one session: the rows it has in the session's cache, and
// the trunk's states that wait for the token behind them. It only guides guesses, so it may
// have gaps (tokens that were evaluated without a thought of drafts); a gap costs accepted
// drafts, never correctness. Belongs to the session and follows its truncations.
#pragma once

#include <cstdint>
#include <vector>

#include "base/page_buffer.h"

namespace moebius {

class DraftHistory {
 public:
  // Cache row r of the MTP layer was made of the trunk's state at positions()[r] and the
  // token behind it. Ascending.
  const std::vector<int32_t>& positions() const { return positions_; }
  int64_t n_rows() const { return static_cast<int64_t>(positions_.size()); }
  void set_positions(std::vector<int32_t> positions) { positions_ = std::move(positions); }

  // States after the final norm of the positions [first_state(), first_state() + n_states()),
  // whose rows are not made yet. [n_states, hidden_size]
  int64_t first_state() const { return first_state_; }
  int64_t n_states() const { return n_states_; }
  float* states() const { return states_.as<float>(); }

  // Room for the states of n_rows positions from `position` on; what keep_states() then
  // counts joins those that wait. Waiting states that do not end there are dropped.
  float* take_room(int64_t position, int64_t n_rows, int64_t hidden_size);
  void keep_states(int64_t n) { n_states_ += n; }
  // The first n waiting states have become rows.
  void made_rows(int64_t n, int64_t hidden_size);
  // A long prompt's buffer is not kept, nor what waits in it.
  void trim(int64_t hidden_size);

  // The session has its first n tokens left: rows need the token behind them as well.
  void truncate(int64_t n);
  void clear();
  // The first n positions of another session's.
  void copy_from(const DraftHistory& other, int64_t n, int64_t hidden_size);

 private:
  std::vector<int32_t> positions_;
  PageBuffer states_;
  int64_t first_state_ = 0, n_states_ = 0;
};

}  // namespace moebius
