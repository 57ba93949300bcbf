// The part of a calibration that asks from where on one kernel beats another: runs the real
// kernels both ways, in turn, and takes the fastest run of each, because whatever else the
// machine does only adds time.
#pragma once

#include <cstdint>
#include <functional>

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace moebius {

// Steps that measure_thresholds() announces: weight formats, and the two MLA forms.
int threshold_steps();

// Calls `check` between runs, which throws to cancel, and `advance` after each step.
KernelThresholds measure_thresholds(const KernelTable& kernels, ThreadPool& pool, const std::function<void()>& check,
                                    const std::function<void()>& advance);

// Prompt tokens from which attention with DeepSeek-V2's heads expands its keys behind n_past
// cached tokens; 0 = never.
int64_t mla_expands_from(double absorbed_cost, int64_t n_past);

}  // namespace moebius
