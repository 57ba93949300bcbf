#include "ops/shape_check.h"

#include <string>

#include "base/error.h"

namespace moebius {

namespace {

long long number(int64_t value) { return static_cast<long long>(value); }

[[noreturn]] void refuse(const char* op, const std::string& text) {
  throw Error(ErrorCode::kInternal, format_text("[%s] %s", op, text.c_str()));
}

}  // namespace

void expect_equal(const char* op, const char* what, int64_t actual, int64_t expected) {
  if (actual == expected) return;
  refuse(op, format_text("expected %s %lld, got %lld", what, number(expected), number(actual)));
}

void expect_at_least(const char* op, const char* what, int64_t actual, int64_t least) {
  if (actual >= least) return;
  refuse(op, format_text("expected %s of at least %lld, got %lld", what, number(least), number(actual)));
}

void expect_multiple(const char* op, const char* what, int64_t actual, int64_t unit) {
  if (unit > 0 && actual % unit == 0) return;
  refuse(op,
         format_text("expected %s to be a multiple of %lld, got %lld", what, number(unit), number(actual)));
}

void expect_rows(const char* op, const char* what, const Rows& rows, int64_t n_rows, int64_t n) {
  if (rows.n_rows == n_rows && rows.n == n && rows.stride >= n) return;
  refuse(op, format_text("expected %s [%lld, %lld], got [%lld, %lld] with stride %lld", what, number(n_rows),
                         number(n), number(rows.n_rows), number(rows.n), number(rows.stride)));
}

void expect_contiguous(const char* op, const char* what, const Rows& rows) {
  if (rows.stride == rows.n || rows.n_rows <= 1) return;
  refuse(op, format_text("expected %s contiguous, got rows of %lld with stride %lld", what, number(rows.n),
                         number(rows.stride)));
}

void expect_row_bytes(const char* op, CacheFormat format, int64_t n, size_t row_bytes) {
  const size_t needed = cache_row_bytes(format, n);
  if (row_bytes >= needed) return;
  refuse(op, format_text("expected cache rows of at least %zu bytes, got %zu", needed, row_bytes));
}

void expect_spans(const char* op, std::span<const AttentionSpan> spans, int64_t n_rows, bool has_values) {
  int64_t covered = 0;
  for (const AttentionSpan& span : spans) {
    if (span.first_row != covered || span.n_rows <= 0 || span.n_past < 0)
      refuse(op, format_text("expected a span of rows from %lld, got %lld rows from %lld", number(covered),
                             number(span.n_rows), number(span.first_row)));
    if (span.key_rows == nullptr || (span.value_rows != nullptr) != has_values)
      refuse(op, "expected cache rows in every span, got none");
    covered += span.n_rows;
  }
  expect_equal(op, "rows covered by spans", covered, n_rows);
}

}  // namespace moebius
