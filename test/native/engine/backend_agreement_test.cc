// The CPU against every other backend of this build, and the comparison against runs that are
// known to be wrong.
#include "engine/backend_agreement.h"

#include <limits>

#include "kernels/backend.h"

using namespace moebius;
using namespace moebius::test;

namespace {

struct TinyModel {
  const char* name;
  bool is_quantised;
};

// One of each family and of each way to store weights.
constexpr TinyModel kModels[] = {
    {"deepseek2-v2", false}, {"deepseek2-v3", false},  {"deepseek2-legacy", false},      {"mixtral", false},
    {"qwen3moe", false},     {"olmoe", false},         {"gpt-oss", false},               {"glm4moe", false},
    {"gemma3", false},       {"llama", false},         {"deepseek2-v3-q.Q4_K_M", true},  {"qwen3moe-q.Q2_K", true},
    {"qwen3moe-h.MXFP4_MOE", true},
};

void check_against_cpu(const std::string& backend) {
  for (const TinyModel& tiny : kModels) {
    const std::unique_ptr<Golden> golden = open_golden(tiny.name);
    if (golden == nullptr) continue;
    for (const char* sequence : {"s17", "s96"}) {
      const std::string margins = std::string(sequence) + ".route_margin";
      const Agreement agreement =
          compare_runs(run_on("cpu", *golden, sequence), run_on(backend, *golden, sequence),
                       golden->has(margins) ? golden->array(margins).f32() : std::span<const float>());
      const std::string wrong = disagreement(agreement, {tiny.is_quantised});
      if (!wrong.empty()) fail(__FILE__, __LINE__, backend + ", " + tiny.name + " " + sequence + ": " + wrong);
    }
  }
}

// Two tokens, two layers, two of four experts.
const std::vector<float> kMargins = {0.5f, 1e-5f, 0.3f, 0.015f};
BackendRun sample_run() {
  return {2, 3, 2, {1, -2, 3, 0.5f, 2, -1}, {0, 1, 2, 3, 0, 3, 1, 2}};
}
std::string verdict(const BackendRun& other, bool is_quantised = false) {
  return disagreement(compare_runs(sample_run(), other, kMargins), {is_quantised});
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST(gpu_backends_agree_with_the_cpu) {
  std::string reasons;
  for (Backend* backend : backends()) {
    if (std::string(backend->id()) == "cpu") continue;
    if (backend->available()) {
      check_against_cpu(backend->id());
    } else {
      reasons += std::string(reasons.empty() ? "" : "; ") + backend->id() + ": " + backend->unavailable_reason();
    }
  }
  size_t n_available = 0;
  for (Backend* backend : backends()) n_available += backend->available() ? 1 : 0;
  if (n_available == 1) skip("no GPU backend in this build (" + reasons + ")");
}

// The plain loops share nothing with the levels but the formulas.
TEST(plain_loops_agree_with_the_cpu) { check_against_cpu("cpu:reference"); }

TEST(comparison_accepts_what_is_the_same) {
  CHECK_EQ(verdict(sample_run()), "");
  // Selection order is the backend's own; a near tie may fall either way.
  BackendRun other = sample_run();
  std::swap(other.expert_ids[0], other.expert_ids[1]);
  other.expert_ids[2] = 1;
  CHECK_EQ(verdict(other), "");
  other.logits[2] *= 1.0005f;
  CHECK_EQ(verdict(other), "");
}

TEST(comparison_notices_logits) {
  BackendRun other = sample_run();
  other.logits[2] *= 1.01f;
  CHECK(contains(verdict(other), "logits are"));
  other.logits[5] *= 1.1f;
  CHECK(contains(verdict(other, /*is_quantised=*/true), "logits are"));
  other = sample_run();
  other.logits[0] = other.logits[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(verdict(other), "logits are"));
  CHECK(contains(verdict(other, /*is_quantised=*/true), "logits are"));
}

TEST(comparison_notices_experts) {
  BackendRun other = sample_run();
  other.expert_ids[0] = 3;
  CHECK(contains(verdict(other), "1 tokens go to other experts"));
  CHECK(contains(verdict(other, /*is_quantised=*/true), "other experts"));
  // Within int8's margin, beyond that of floats.
  other = sample_run();
  other.expert_ids[7] = 0;
  CHECK(contains(verdict(other), "other experts"));
  CHECK_EQ(verdict(other, /*is_quantised=*/true), "");
  // What follows a near tie is not another finding.
  other.expert_ids[2] = 1;
  CHECK_EQ(verdict(other), "");
}

TEST(comparison_refuses_other_shapes) {
  BackendRun other = sample_run();
  other.expert_ids.pop_back();
  CHECK_THROWS(std::exception, "different shapes", verdict(other));
  other = sample_run();
  other.logits.resize(3);
  CHECK_THROWS(std::exception, "different shapes", verdict(other));
}
