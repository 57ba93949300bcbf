// Which experts of one layer are in which slot of its memory, and which slot gives way next:
// the one unused for longest. A slot in use is never given away. No reading here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moebius {

class ExpertLru {
 public:
  ExpertLru(int64_t n_experts, int64_t n_slots);

  int64_t n_slots() const { return static_cast<int64_t>(slots_.size()); }
  // The slot of an expert, -1 when it has none.
  int64_t find(int32_t expert) const { return slot_of_[static_cast<size_t>(expert)]; }
  // Marks a slot as used last, and as in use until release().
  void use(int64_t slot);
  // Gives the expert a slot and uses it; whoever was there is gone. -1: all slots are in use.
  int64_t claim(int32_t expert);
  void release(int64_t slot) { slots_[static_cast<size_t>(slot)].in_use = false; }
  // Empties a slot whose content cannot be trusted.
  void forget(int64_t slot);

 private:
  struct Slot {
    int32_t expert = -1;
    bool in_use = false;
    uint64_t last_used = 0;
  };
  std::vector<Slot> slots_;
  std::vector<int64_t> slot_of_;  // [n_experts]
  uint64_t clock_ = 0;
};

}  // namespace moebius
