// Prompt attention in bfloat16: near the exact logits and away from them, decode untouched,
// refused where it cannot be.
#include "engine/model_cases.h"
#include "kernels/backend.h"

using namespace moebius;
using namespace moebius::test;

namespace {

std::shared_ptr<Model> load(const std::string& path, const std::string& level, bool bf16, bool exact = false) {
  LoadOptions options;
  options.n_threads = 2;
  options.backend = "cpu:" + level;
  options.bf16_attention = bf16;
  options.exact = exact;
  return Model::load(path, options);
}

}  // namespace

TEST(prompts_in_bfloat16_stay_near_the_goldens) {
  for (const std::string& level : cpu_levels()) {
    if (!cpu_backend_at(level).has_bf16_attention()) continue;
    for (const char* name : {"deepseek2-v2", "deepseek2-v3", "qwen3moe", "gpt-oss", "gemma3"}) {
      const std::unique_ptr<Golden> golden = open_golden(name);
      if (golden == nullptr) continue;
      const auto rounded = load(golden->gguf_path(), level, true), plain = load(golden->gguf_path(), level, false);
      const std::vector<int32_t>& tokens = golden->sequences().at("s96");
      const GoldenArray& expected = golden->array("s96.logits");
      const double error = median(row_errors(all_logits(*open_session(rounded), tokens), expected));
      CHECK(error < 1e-3);
      CHECK(error > 10 * median(row_errors(all_logits(*open_session(plain), tokens), expected)));
    }
  }
}

TEST(decode_behind_the_same_cache_is_not_rounded) {
  for (const std::string& level : cpu_levels()) {
    if (!cpu_backend_at(level).has_bf16_attention()) continue;
    const std::string path = MOEBIUS_FIXTURES "/models/deepseek2-v3.gguf";
    const std::vector<int32_t> tokens = {5, 9, 2, 7, 1, 8};
    const auto token_by_token = [&](bool bf16) {
      const std::shared_ptr<Session> session = open_session(load(path, level, bf16));
      std::vector<float> all;
      for (const int32_t& token : tokens)
        for (float logit : flat(session->evaluate({&token, 1}))) all.push_back(logit);
      return all;
    };
    CHECK(token_by_token(true) == token_by_token(false));
  }
}

TEST(bfloat16_attention_is_refused_where_it_cannot_be) {
  const std::string path = MOEBIUS_FIXTURES "/models/deepseek2-v3.gguf";
  for (const std::string& level : cpu_levels()) {
    if (cpu_backend_at(level).has_bf16_attention())
      CHECK_THROWS(Error, "exclude each other", load(path, level, true, /*exact=*/true));
    else
      CHECK_THROWS(Error, "no bfloat16 dots", load(path, level, true));
  }
}
