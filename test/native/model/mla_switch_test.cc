// When MLA expands its keys: the arithmetic of DeepSeek-V3's shape.
#include "model/blocks/blocks.h"
#include "native/test.h"

using namespace moebius;

TEST(expands_by_the_number_of_multiply_adds) {
  MlaConfig v3;
  v3.kv_lora_rank = 512;
  v3.qk_nope_head_dim = 128;
  v3.qk_rope_head_dim = 64;
  v3.v_head_dim = 128;
  CHECK(expands_keys(v3, 1, 0));
  CHECK(expands_keys(v3, 512, 0));
  CHECK(!expands_keys(v3, 1, 1000));
  CHECK(!expands_keys(v3, 160, 100000));
  CHECK(expands_keys(v3, 172, 100000));
  CHECK(expands_keys(v3, 512, 4096));
}

TEST(dear_absorbed_operations_make_it_expand_earlier) {
  MlaConfig v3;
  v3.kv_lora_rank = 512;
  v3.qk_nope_head_dim = 128;
  v3.qk_rope_head_dim = 64;
  v3.v_head_dim = 128;
  for (const auto& [cost, from] : {std::pair{0.5, 586}, {1.0, 168}, {2.0, 69}}) {
    CHECK(!expands_keys(v3, from - 1, 4096, cost));
    CHECK(expands_keys(v3, from, 4096, cost));
  }
  // So cheap that expanded attention never pays.
  CHECK(!expands_keys(v3, 100000, 4096, 0.25));
  const MlaOperations operations = mla_operations(v3, 2, 10);
  CHECK_EQ(operations.absorbed, 2 * 512 * 256 + 22 * 1088);
  CHECK_EQ(operations.expanded, 12 * 512 * 256 + 22 * 320);
}
