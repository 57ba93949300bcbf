// Every op names itself, what it expected and what it got.
#include "base/error.h"
#include "native/test.h"
#include "ops/op_case.h"

using namespace moebius;
using namespace moebius::test;

namespace {

Matrix matrix_of(const Rows& rows) {
  Matrix matrix;
  matrix.data = rows.data;
  matrix.n_in = rows.n;
  matrix.n_out = rows.n_rows;
  matrix.row_bytes = static_cast<size_t>(rows.n) * sizeof(float);
  matrix.matrix_stride = matrix.row_bytes * static_cast<size_t>(rows.n_rows);
  return matrix;
}

}  // namespace

TEST(linear_checks_its_shapes) {
  OpCase test;
  const Linear weights{matrix_of(test.filled(3, 8)), nullptr};
  const Rows x = test.filled(2, 8);
  linear(test.op, x, weights, test.op.rows(2, 3));
  CHECK_THROWS(Error, "[linear] expected n_in 7, got 8",
               linear(test.op, test.filled(2, 7), weights, test.op.rows(2, 3)));
  CHECK_THROWS(Error, "[linear] expected y [2, 3], got [2, 4]",
               linear(test.op, x, weights, test.op.rows(2, 4)));
  CHECK_THROWS(Error, "[linear] expected y [2, 3], got [1, 3]",
               linear(test.op, x, weights, test.op.rows(1, 3)));
}

TEST(other_ops_check_their_shapes) {
  OpCase test;
  const Rows x = test.filled(2, 8);
  CHECK_THROWS(Error, "[add]", add(test.op, x, test.filled(2, 9)));
  CHECK_THROWS(Error, "[add] expected y contiguous", add(test.op, x.columns(0, 4), test.filled(2, 4)));
  CHECK_THROWS(Error, "[rms_norm_heads]", rms_norm_heads(test.op, x, 3, nullptr, 1e-6f));
  const float angles[8] = {};
  CHECK_THROWS(Error, "[rope] expected tokens",
               rope(test.op, x, 8, 0, {angles, angles, 3, 4}, RopePairing::kAdjacent));
  CHECK_THROWS(Error, "[rope] expected head size",
               rope(test.op, x, 4, 2, {angles, angles, 2, 4}, RopePairing::kAdjacent));
  const std::vector<int32_t> ids = {0, 5};
  CHECK_THROWS(Error, "[embed]", embed(test.op, matrix_of(test.filled(5, 8)), ids, 1, test.op.rows(2, 8)));
}

TEST(attention_checks_spans) {
  OpCase test;
  GqaShape shape;
  shape.n_heads = 2;
  shape.n_kv_heads = 1;
  shape.key_dim = shape.value_dim = 4;
  shape.scale = 1;
  shape.cache_format = CacheFormat::kF32;
  shape.key_row_bytes = shape.value_row_bytes = cache_row_bytes(CacheFormat::kF32, 4);
  const std::vector<float> cache(1024);
  const Rows q = test.filled(2, 8), out = test.op.rows(2, 8);
  AttentionSpan span{0, 2, 0, cache.data(), cache.data()};
  gqa_attention(test.op, shape, q, {&span, 1}, out);
  span.n_rows = 1;
  CHECK_THROWS(Error, "rows covered by spans 2, got 1", gqa_attention(test.op, shape, q, {&span, 1}, out));
  span = {0, 2, 0, nullptr, nullptr};
  CHECK_THROWS(Error, "cache rows", gqa_attention(test.op, shape, q, {&span, 1}, out));
  shape.key_row_bytes = 8;
  CHECK_THROWS(Error, "bytes", gqa_attention(test.op, shape, q, {&span, 1}, out));
}
