// Two backends over the same tokens: how far their logits are apart, and whether a token that
// goes to other experts was near a tie. A token's first difference counts alone, for the layers
// above it see another hidden row.
#pragma once

#include <limits>
#include <sstream>
#include <stdexcept>

#include "engine/model_cases.h"

namespace moebius::test {

struct BackendRun {
  int64_t n_tokens = 0, vocab_size = 0, n_active_experts = 0;
  std::vector<float> logits;        // [n_tokens, vocab_size]
  std::vector<int32_t> expert_ids;  // [n_moe_layers, n_tokens, n_active_experts], any order; empty when dense
};

struct Agreement {
  std::vector<double> errors;   // [n_tokens] NMSE of logits
  int n_moved_tokens = 0;       // tokens with other experts somewhere
  float widest_moved_margin = 0;  // of their first differences
};

struct AgreementRule {
  bool is_quantised = false;
  // Near ties: float noise moves a selection score by less than 1e-4, int8 activations by 0.02.
  float largest_margin() const { return is_quantised ? 0.02f : 1e-4f; }
  // Every position of float files; a moved token spoils some of a quantised one's: the median.
  double tolerance() const { return is_quantised ? 5e-4 : 1e-6; }
};

// backend: as in LoadOptions ("cpu", "cpu:avx2", "cuda").
inline BackendRun run_on(const std::string& backend, const Golden& golden, const std::string& sequence) {
  LoadOptions options;
  options.n_threads = 1;
  options.backend = backend;
  const std::shared_ptr<Model> model = Model::load(golden.gguf_path(), options);
  const std::vector<int32_t>& tokens = golden.sequences().at(sequence);
  BackendRun run;
  run.n_tokens = static_cast<int64_t>(tokens.size());
  const Logits all = all_logits(*open_session(model), tokens);
  run.vocab_size = all.vocab_size();
  run.logits = flat(all);
  if (!model->info().is_moe) return run;
  const RouteResult routed = route(model, tokens);
  run.n_active_experts = routed.n_active_experts;
  run.expert_ids = routed.expert_ids;
  return run;
}

// margins: [n_moe_layers, n_tokens], how near a tie the reference was. Throws
// std::runtime_error when the runs are not of one shape.
inline Agreement compare_runs(const BackendRun& one, const BackendRun& other, std::span<const float> margins) {
  if (one.n_tokens != other.n_tokens || one.vocab_size != other.vocab_size ||
      one.n_active_experts != other.n_active_experts || one.logits.size() != other.logits.size() ||
      one.expert_ids.size() != other.expert_ids.size())
    throw std::runtime_error("runs of different shapes cannot be compared");
  Agreement result;
  const size_t width = static_cast<size_t>(one.vocab_size), n_tokens = static_cast<size_t>(one.n_tokens);
  for (size_t at = 0; at < one.logits.size(); at += width)
    result.errors.push_back(nmse(std::span(other.logits).subspan(at, width), std::span(one.logits).subspan(at, width)));
  const size_t k = static_cast<size_t>(one.n_active_experts);
  std::vector<bool> moved(n_tokens);
  for (size_t row = 0; k > 0 && row < one.expert_ids.size() / k; ++row) {
    const auto sorted = [&](const BackendRun& run) {
      const auto begin = run.expert_ids.begin() + static_cast<std::ptrdiff_t>(row * k);
      std::vector<int32_t> ids(begin, begin + static_cast<std::ptrdiff_t>(k));
      std::sort(ids.begin(), ids.end());
      return ids;
    };
    if (moved[row % n_tokens] || sorted(one) == sorted(other)) continue;
    moved[row % n_tokens] = true;
    ++result.n_moved_tokens;
    result.widest_moved_margin = std::max(result.widest_moved_margin, margins[row]);
  }
  return result;
}

// What does not agree, or "".
inline std::string disagreement(const Agreement& agreement, const AgreementRule& rule) {
  std::vector<double> errors = agreement.errors;
  // NaN is no agreement, and sorts nowhere.
  for (double& error : errors)
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
  const double error = rule.is_quantised ? median(errors) : *std::max_element(errors.begin(), errors.end());
  std::ostringstream text;
  if (!(error <= rule.tolerance())) text << "logits are " << error << " apart, at most " << rule.tolerance() << " may be; ";
  if (agreement.widest_moved_margin > rule.largest_margin())
    text << agreement.n_moved_tokens << " tokens go to other experts, one by a margin of " << agreement.widest_moved_margin;
  return text.str();
}

}  // namespace moebius::test
