#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "sampling/sampler.h"

namespace moebius {

namespace {

constexpr size_t kMaxBreakers = 64;
constexpr size_t kMaxBreakerBytes = 64;

void check_number(const char* field, float value) {
  if (!std::isfinite(value))
    throw Error(ErrorCode::kBadRequest, format_text("sampler setting %s is not a finite number", field));
}

}  // namespace

const std::vector<std::string>& SamplerSettings::default_order() {
  static const std::vector<std::string> order = {"penalties", "dry",   "top_n_sigma", "sampling_top_k", "typical_p",
                                                 "top_p",     "min_p", "xtc",         "temperature"};
  return order;
}

void SamplerSettings::validate(int32_t vocab_size) const {
  const std::pair<const char*, float> numbers[] = {
      {"temperature", temperature},         {"top_p", top_p},
      {"min_p", min_p},                     {"typical_p", typical_p},
      {"top_n_sigma", top_n_sigma},         {"xtc_probability", xtc_probability},
      {"xtc_threshold", xtc_threshold},     {"dry_multiplier", dry_multiplier},
      {"dry_base", dry_base},               {"repeat_penalty", repeat_penalty},
      {"frequency_penalty", frequency_penalty}, {"presence_penalty", presence_penalty},
      {"mirostat_tau", mirostat_tau},       {"mirostat_eta", mirostat_eta}};
  for (const auto& [field, value] : numbers) check_number(field, value);
  if (repeat_penalty <= 0)
    throw Error(ErrorCode::kBadRequest, format_text("sampler setting repeat_penalty is %g, expected > 0", repeat_penalty));
  if (n_probs < 0 || n_probs > vocab_size)
    throw Error(ErrorCode::kBadRequest, format_text("sampler setting n_probs is %d, expected 0..%d", n_probs, vocab_size));
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0 || id >= vocab_size)
      throw Error(ErrorCode::kBadRequest,
                  format_text("logit_bias names token %d, outside the vocabulary of %d tokens", id, vocab_size));
    if (std::isnan(bias) || bias == INFINITY)
      throw Error(ErrorCode::kBadRequest, format_text("logit_bias of token %d is not a number", id));
  }
  if (dry_sequence_breakers.size() > kMaxBreakers)
    throw Error(ErrorCode::kBadRequest, format_text("dry_sequence_breakers has %zu entries, the limit is %zu",
                                                    dry_sequence_breakers.size(), kMaxBreakers));
  for (const std::string& breaker : dry_sequence_breakers)
    if (breaker.empty() || breaker.size() > kMaxBreakerBytes)
      throw Error(ErrorCode::kBadRequest, format_text("an entry of dry_sequence_breakers has %zu bytes, expected 1..%zu",
                                                      breaker.size(), kMaxBreakerBytes));
  const auto& known = default_order();
  for (size_t i = 0; i < order.size(); ++i) {
    if (std::find(known.begin(), known.end(), order[i]) == known.end())
      throw Error(ErrorCode::kBadRequest, format_text("sampler order names the unknown stage '%.40s'", order[i].c_str()));
    if (std::find(order.begin(), order.begin() + static_cast<ptrdiff_t>(i), order[i]) != order.begin() + static_cast<ptrdiff_t>(i))
      throw Error(ErrorCode::kBadRequest, format_text("sampler order names the stage '%.40s' twice", order[i].c_str()));
  }
}

}  // namespace moebius
