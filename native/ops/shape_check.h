// The checks behind "[op] expected ..., got ...". Their failure is a defect of the caller or
// a file that slipped through the loader, never the user's doing.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace moebius {

void expect_equal(const char* op, const char* what, int64_t actual, int64_t expected);
void expect_at_least(const char* op, const char* what, int64_t actual, int64_t least);
void expect_multiple(const char* op, const char* what, int64_t actual, int64_t unit);
void expect_rows(const char* op, const char* what, const Rows& rows, int64_t n_rows, int64_t n);
void expect_contiguous(const char* op, const char* what, const Rows& rows);
void expect_row_bytes(const char* op, CacheFormat format, int64_t n, size_t row_bytes);
// Spans must cover rows of the batch and name their cache.
void expect_spans(const char* op, std::span<const AttentionSpan> spans, int64_t n_rows, bool has_values);

}  // namespace moebius
