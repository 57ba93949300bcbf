// Quantised files. With float activations they are as exact as f32 files, because the goldens
// come from the dequantised weights; with int8 activations a token may go to another expert,
// so medians are compared.
#include "engine/model_cases.h"

using namespace moebius;
using namespace moebius::test;

namespace {

void check_quantised(const std::string& name, double median_with_int8) {
  const std::unique_ptr<Golden> golden = open_golden(name);
  if (golden == nullptr) return;
  const std::shared_ptr<Model> exact = load_golden(*golden, /*exact=*/true);
  const std::shared_ptr<Model> fast = load_golden(*golden, /*exact=*/false);
  for (const char* sequence : {"s17", "s96"}) {
    const std::vector<int32_t>& tokens = golden->sequences().at(sequence);
    const GoldenArray& expected = golden->array(std::string(sequence) + ".logits");
    const std::vector<double> exact_errors = row_errors(logits(exact, tokens), expected);
    CHECK_NEAR(*std::max_element(exact_errors.begin(), exact_errors.end()), 0, 1e-9);
    CHECK_NEAR(median(row_errors(logits(fast, tokens), expected)), 0, median_with_int8);
  }
  // Token by token: the decode kernels.
  const std::vector<int32_t>& tokens = golden->sequences().at("s96");
  CHECK_NEAR(median(row_errors(all_logits(*open_session(fast, /*prefill_chunk=*/1), tokens),
                               golden->array("s96.logits"))),
             0, median_with_int8);
}

}  // namespace

TEST(deepseek2_k_formats) {
  for (const char* name : {"deepseek2-v3-q.Q6_K", "deepseek2-v3-q.Q4_K_M", "deepseek2-v3-q.Q3_K_M"})
    check_quantised(name, 1e-3);
}
TEST(deepseek2_iq_formats) {
  for (const char* name : {"deepseek2-v3-q.IQ4_XS", "deepseek2-v3-q.IQ3_XXS"}) check_quantised(name, 1e-3);
}
TEST(deepseek2_small_block_formats) {
  for (const char* name : {"deepseek2-v3-h.Q8_0", "deepseek2-v3-h.Q5_0", "deepseek2-v3-h.Q4_0"})
    check_quantised(name, 1e-3);
}
TEST(deepseek2_half_formats) {
  check_quantised("deepseek2-v3-h.F16", 1e-5);
  check_quantised("deepseek2-v3-h.BF16", 1e-4);
}
TEST(qwen3moe_k_formats) {
  for (const char* name : {"qwen3moe-q.Q5_K_M", "qwen3moe-q.Q4_K_M", "qwen3moe-q.Q2_K"})
    check_quantised(name, 1e-3);
}
TEST(qwen3moe_iq_formats) {
  for (const char* name : {"qwen3moe-q.IQ2_XXS", "qwen3moe-q.IQ2_XS"}) check_quantised(name, 1e-3);
}
TEST(qwen3moe_small_block_formats) {
  for (const char* name : {"qwen3moe-h.Q8_0", "qwen3moe-h.Q5_1", "qwen3moe-h.IQ4_NL", "qwen3moe-h.MXFP4_MOE"})
    check_quantised(name, 1e-3);
}
