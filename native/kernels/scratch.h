// A bump allocator over one PageBuffer: activations and temporaries of one engine step.
// take() never fails mid-step for what reserve() announced; reset() frees all at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/page_buffer.h"

namespace moebius {

class Scratch {
 public:
  // 64-byte aligned, uninitialised, n elements; valid until reset() or release(mark).
  // Grows by further blocks when needed (never moves what was handed out).
  template <typename T>
  T* take(int64_t n) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(n) * sizeof(T)));
  }
  void* take_bytes(size_t bytes);
  // Makes sure that the next takes, `bytes` together (each rounded up to 64), need no new block.
  void reserve(size_t bytes);

  struct Mark {
    size_t block = 0;
    size_t used = 0;
  };
  Mark mark() const { return {block_, used_}; }
  // Frees everything taken since the mark.
  void release(Mark mark);
  // Frees everything; keeps the memory, merged into one block of the peak size.
  void reset();
  size_t bytes_reserved() const;

 private:
  // Moves to a block behind the current one with room for `bytes`.
  void next_block(size_t bytes);

  std::vector<PageBuffer> blocks_;
  size_t block_ = 0;
  size_t used_ = 0;
};

}  // namespace moebius
