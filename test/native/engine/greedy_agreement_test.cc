// The recorded greedy answers, whatever the chunks of the prompt and the number of threads.
#include "engine/model_cases.h"

using namespace moebius;
using namespace moebius::test;

TEST(greedy_answers_do_not_depend_on_chunks_nor_threads) {
  for (const char* name : {"deepseek2-v3", "qwen3moe", "gemma3", "gpt-oss", "llama"}) {
    const std::unique_ptr<Golden> golden = open_golden(name);
    if (golden == nullptr) continue;
    const GreedyRun& run = golden->greedy();
    const std::vector<int32_t>& prompt = golden->sequences().at(run.prompt);
    for (const int n_threads : {1, 2, 3}) {
      const std::shared_ptr<Model> model = load_golden(*golden, /*exact=*/true, n_threads);
      for (const int64_t chunk : {1, 7, 64, 512})
        CHECK(greedy_tokens(*open_session(model, chunk), prompt, run.tokens.size()) == run.tokens);
    }
  }
}
