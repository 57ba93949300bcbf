// Partial results of one decode row, one for each split of its keys, become one: neighbours
// meet in a binary tree. Which two meet depends on their numbers alone, so the sums do not
// depend on the threads; who finishes the second of two adds them up while they are still warm.
#pragma once

#include <algorithm>
#include <atomic>
#include <new>

#include "kernels/cpu/step.h"

namespace moebius::cpu {

class SplitTree {
 public:
  static SplitTree take(StepScratch& scratch, int64_t n_trees, int64_t n_splits) {
    SplitTree tree;
    tree.n_splits_ = n_splits;
    tree.arrived_ = scratch.take<Flag>(n_trees * n_splits);
    for (int64_t i = 0; i < n_trees * n_splits; ++i) new (tree.arrived_ + i) Flag(false);
    return tree;
  }

  // Split `split` of a tree is done: calls add(left, right) for each pair that it completes, whose
  // sum is then that of split `left`. True for the split that completes the tree: all is in 0.
  template <typename Add>
  bool finish(int64_t tree, int64_t split, const Add& add) const {
    for (int64_t width = 1; width < n_splits_; width *= 2) {
      const int64_t left = split / (2 * width) * (2 * width), right = left + width;
      if (right >= n_splits_) continue;
      // A pair is known by its right half: no other pair has the same.
      if (!arrived_[tree * n_splits_ + right].exchange(true, std::memory_order_acq_rel)) return false;
      add(left, right);
    }
    return true;
  }

 private:
  using Flag = std::atomic<bool>;
  Flag* arrived_ = nullptr;
  int64_t n_splits_ = 0;
};

}  // namespace moebius::cpu
