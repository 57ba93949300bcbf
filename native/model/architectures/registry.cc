#include <algorithm>

#include "base/error.h"
#include "model/architectures/architecture.h"

namespace moebius {

extern const Architecture kBailingMoe2, kDeepseek, kDeepseek2, kErnie45, kErnie45Moe, kGemma3, kGlm4Moe,
    kGptOss, kLlama, kOlmoe, kPhi3, kQwen2, kQwen2Moe, kQwen3, kQwen3Moe;

namespace {

constexpr const Architecture* kAll[] = {&kBailingMoe2, &kDeepseek, &kDeepseek2, &kErnie45, &kErnie45Moe,
                                        &kGemma3,      &kGlm4Moe,  &kGptOss,    &kLlama,   &kOlmoe,
                                        &kPhi3,        &kQwen2,    &kQwen2Moe,  &kQwen3,   &kQwen3Moe};

}  // namespace

const Architecture& architecture_by_name(const std::string& name) {
  for (const Architecture* architecture : kAll)
    if (name == architecture->name) return *architecture;
  std::string known;
  for (const std::string& each : architecture_names()) known += (known.empty() ? "" : ", ") + each;
  throw Error(ErrorCode::kUnsupported, format_text("architecture '%.64s' is not supported", name.c_str()),
              "Supported: " + known + ".");
}

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const Architecture* architecture : kAll) names.push_back(architecture->name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace moebius
