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
