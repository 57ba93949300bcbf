#include "model/experts/expert_lru.h"

namespace moebius {

ExpertLru::ExpertLru(int64_t n_experts, int64_t n_slots)
    : slots_(static_cast<size_t>(n_slots)), slot_of_(static_cast<size_t>(n_experts), -1) {}

void ExpertLru::use(int64_t slot) {
  Slot& used = slots_[static_cast<size_t>(slot)];
  used.last_used = ++clock_;
  used.in_use = true;
}

int64_t ExpertLru::claim(int32_t expert) {
  int64_t oldest = -1;
  for (int64_t slot = 0; slot < n_slots(); ++slot) {
    const Slot& each = slots_[static_cast<size_t>(slot)];
    if (each.in_use) continue;
    if (oldest < 0 || each.last_used < slots_[static_cast<size_t>(oldest)].last_used) oldest = slot;
  }
  if (oldest < 0) return -1;
  forget(oldest);
  slots_[static_cast<size_t>(oldest)].expert = expert;
  slot_of_[static_cast<size_t>(expert)] = oldest;
  use(oldest);
  return oldest;
}

void ExpertLru::forget(int64_t slot) {
  Slot& emptied = slots_[static_cast<size_t>(slot)];
  if (emptied.expert >= 0) slot_of_[static_cast<size_t>(emptied.expert)] = -1;
  emptied = Slot{};
}

}  // namespace moebius
