// An OpContext on the reference backend for tests of ops and what stands on them.
#pragma once

#include "kernels/backend.h"
#include "ops/ops.h"

namespace moebius::test {

struct OpCase {
  ThreadPool pool{1};
  Scratch scratch;
  OpContext op;
  OpCase() {
    op.kernels = &reference_backend().kernels();
    op.kernel.pool = &pool;
    op.kernel.scratch = &scratch;
  }
  Rows filled(int64_t n_rows, int64_t n, float first = 0.1f) {
    const Rows rows = op.rows(n_rows, n);
    for (int64_t i = 0; i < n_rows * n; ++i)
      rows.data[i] = first + 0.37f * static_cast<float>((i * 7919) % 101 - 50) / 50;
    return rows;
  }
};

}  // namespace moebius::test
