// Rows come back as they were stored, prefixes copy, shifts rotate, bounds hold.
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "cache/kv_cache.h"
#include "cache/latent_cache.h"
#include "native/test.h"
#include "ops/op_case.h"

using namespace moebius;
using namespace moebius::test;

namespace {

constexpr CacheFormat kFormats[] = {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kBF16,
                                    CacheFormat::kQ8_0};

// Largest relative step of a format.
double step_of(CacheFormat format) {
  switch (format) {
    case CacheFormat::kF32:
      return 0;
    case CacheFormat::kF16:
      return 1.0 / 2048;
    case CacheFormat::kBF16:
      return 1.0 / 256;
    case CacheFormat::kQ8_0:
      return 1.0 / 254;
  }
  return 0;
}

RopeFrequencies plain_rope(int64_t n_rot) {
  RopeSpec spec;
  spec.n_rot = n_rot;
  return rope_frequencies(spec);
}

}  // namespace

TEST(rows_come_back) {
  for (const CacheFormat format : kFormats) {
    OpCase test;
    CacheRows rows(format, 96, 32, 10);
    const Rows source = test.filled(3, 96);
    rows.store(test.op, 4, source);
    const Rows back = test.op.rows(3, 96);
    load_cache_rows(test.op, rows.row(4), rows.row_bytes(), format, back);
    for (int i = 0; i < 3 * 96; ++i) CHECK_NEAR(back.data[i], source.data[i], step_of(format) * 0.5);
    CHECK_EQ(rows.row_bytes() % 64, 0u);
  }
}

TEST(stores_outside_are_refused) {
  OpCase test;
  CacheRows rows(CacheFormat::kF32, 8, 8, 4);
  CHECK_THROWS(Error, "[cache]", rows.store(test.op, 3, test.filled(2, 8)));
  CHECK_THROWS(Error, "[cache]", rows.store(test.op, -1, test.filled(1, 8)));
  CHECK_THROWS(Error, "[cache]", rows.store(test.op, 0, test.filled(1, 7)));
  CHECK_THROWS(Error, "units of 32", CacheRows(CacheFormat::kQ8_0, 160, 80, 4));
}

TEST(prefix_copies_and_moves) {
  OpCase test;
  KvCache a(CacheFormat::kF16, {{2, 32, 16}, {1, 32, 16}}, 8),
      b(CacheFormat::kF16, {{2, 32, 16}, {1, 32, 16}}, 5);
  a.keys(0).store(test.op, 0, test.filled(6, 64));
  a.values(1).store(test.op, 0, test.filled(6, 16));
  b.copy_from(a, 4);
  CHECK(std::memcmp(a.keys(0).row(0), b.keys(0).row(0), 4 * a.keys(0).row_bytes()) == 0);
  CHECK(std::memcmp(a.values(1).row(0), b.values(1).row(0), 4 * a.values(1).row_bytes()) == 0);
  const std::vector<uint8_t> row5(a.keys(0).row(5), a.keys(0).row(5) + a.keys(0).row_bytes());
  a.move_down(4, 6, 1);
  CHECK(std::memcmp(a.keys(0).row(2), row5.data(), row5.size()) == 0);
  CHECK_THROWS(Error, "[cache]", b.copy_from(a, 6));
  CHECK_EQ(a.bytes_for(8), 8 * (a.keys(0).row_bytes() + a.values(0).row_bytes() + a.keys(1).row_bytes() +
                                a.values(1).row_bytes()));
}

TEST(rotating_back_and_forth_is_the_identity) {
  for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalfSplit}) {
    OpCase test;
    LatentCache latent(CacheFormat::kF32, 1, 32, 16, 8);
    const Rows source = test.filled(4, 48);
    latent.rows(0).store(test.op, 0, source);
    const RopeFrequencies frequencies = plain_rope(16);
    latent.rotate_keys(test.op, 0, 1, 3, -7, frequencies, pairing);
    const float* rotated = reinterpret_cast<const float*>(latent.rows(0).row(1));
    double moved = 0;
    for (int i = 0; i < 48; ++i) {
      if (i < 32)
        CHECK_NEAR(rotated[i], source.row(1)[i], 0);  // the latent has no position
      else
        moved += std::fabs(rotated[i] - source.row(1)[i]);
    }
    CHECK(moved > 0.1);
    latent.rotate_keys(test.op, 0, 1, 3, 7, frequencies, pairing);
    for (int row = 0; row < 4; ++row)
      for (int i = 0; i < 48; ++i)
        CHECK_NEAR(reinterpret_cast<const float*>(latent.rows(0).row(row))[i], source.row(row)[i], 1e-6);
  }
}

// Partial rotation: elements behind n_rot of every head stay.
TEST(kv_rotation_leaves_values_and_passed_elements_alone) {
  OpCase test;
  KvCache cache(CacheFormat::kF32, {{2, 32, 16}}, 4);
  const Rows keys = test.filled(2, 64), values = test.filled(2, 32);
  cache.keys(0).store(test.op, 0, keys);
  cache.values(0).store(test.op, 0, values);
  cache.rotate_keys(test.op, 0, 0, 2, 3, plain_rope(16), RopePairing::kHalfSplit);
  const float* rotated = reinterpret_cast<const float*>(cache.keys(0).row(1));
  for (int head = 0; head < 2; ++head)
    for (int i = 16; i < 32; ++i) CHECK_NEAR(rotated[head * 32 + i], keys.row(1)[head * 32 + i], 0);
  CHECK(std::memcmp(cache.values(0).row(1), values.row(1), 32 * sizeof(float)) == 0);
}
