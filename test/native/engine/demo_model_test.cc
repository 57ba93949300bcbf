// The built-in model: loads, explains itself, continues its recorded prompt, drafts.
#include "engine/model_cases.h"
#include "native/json.h"

using namespace moebius;
using namespace moebius::test;

namespace {

const std::string kFolder = std::string(MOEBIUS_RESOURCES) + "/models/";

std::shared_ptr<Model> load_demo(int n_threads = 1) {
  LoadOptions options;
  options.exact = true;
  options.n_threads = n_threads;
  return Model::load(kFolder + "moebius-demo-6m.gguf", options);
}

}  // namespace

TEST(demo_reproduces_its_recorded_continuation) {
  const Json check = Json::read_file(kFolder + "moebius-demo-6m.json")["greedy_check"];
  const std::vector<int> prompt = check["prompt_ids"].integers(),
                         expected = check["continuation_ids"].integers();
  const std::shared_ptr<Model> model = load_demo();
  CHECK(greedy_tokens(*open_session(model), prompt, expected.size()) == expected);
  CHECK(greedy_tokens(*open_session(model, 0, CacheFormat::kF16), prompt, expected.size()) == expected);
}

TEST(demo_describes_itself) {
  const ModelInfo info = load_demo()->info();
  CHECK_EQ(info.architecture, "deepseek2");
  CHECK_EQ(info.n_layers, 6);
  CHECK_EQ(info.n_mtp_layers, 1);
  CHECK_EQ(info.n_dense_layers, 1);
  CHECK_EQ(info.n_routed_experts, 32);
  CHECK_EQ(info.n_active_experts, 4);
  CHECK_EQ(info.n_expert_groups, 4);
  CHECK_EQ(info.n_active_groups, 2);
  CHECK_EQ(info.group_rule, "sum_of_top_two");
  CHECK_EQ(info.score_func, "sigmoid");
  CHECK(info.has_selection_bias && info.normalizes_weights && info.is_mla);
  CHECK_EQ(info.q_lora_rank, 96);
  CHECK_EQ(info.kv_lora_rank, 64);
  CHECK_EQ(info.vocab_size, 4096);
  CHECK_EQ(info.max_seq_len, 512);
  CHECK_NEAR(static_cast<double>(info.parameters_total), 6.1e6, 0.2e6);
  CHECK(info.parameters_active > 500000 && info.parameters_active < 2000000);
  CHECK_EQ(info.main_quant_format, "F16");
  CHECK(info.warnings.empty());
  CHECK(info.ignored_tensors.empty());
  CHECK_EQ(info.identity.size(), 32u);
  CHECK(!info.chat_templates.empty());
  uint64_t bytes = 0;
  for (const TensorClassInfo& each : info.tensor_classes) bytes += each.bytes;
  CHECK_EQ(bytes, info.weight_bytes);
  CHECK_EQ(inspect(kFolder + "moebius-demo-6m.gguf").info.identity, info.identity);
}

// A trained draft layer guesses its own trunk's next token far more often than chance.
TEST(demo_drafts_agree_with_the_trunk) {
  const std::shared_ptr<Model> model = load_demo();
  const std::vector<int32_t> tokens = model->tokenizer().encode(
      "Once upon a time, there was a little girl named Lily. She had a big dog. One day, they went to the "
      "park.");
  const Logits trunk = logits(model, tokens), draft = mtp_logits(model, tokens);
  int agreed = 0;
  for (int64_t row = 0; row < draft.n_rows(); ++row)
    agreed += argmax(draft.row(row)) == argmax(trunk.row(row + 1));
  CHECK(agreed * 2 > draft.n_rows());
}
