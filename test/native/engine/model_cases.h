// What the model tests share: loading golden models, comparing rows, greedy runs.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "native/golden.h"
#include "native/test.h"

namespace moebius::test {

// sum((x - ref)^2) / sum(ref^2).
inline double nmse(std::span<const float> x, std::span<const float> reference) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(reference[i]);
    error += difference * difference;
    norm += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
  }
  return norm > 0 ? error / norm : error;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

inline int32_t argmax(std::span<const float> row) {
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// The golden of that name, or null after reporting the case as skipped.
inline std::unique_ptr<Golden> open_golden(const std::string& name) {
  const std::string folder = find_golden_folder("models/" + name + ".json");
  if (folder.empty()) {
    skip("golden model " + name + " is not here; set MOEBIUS_GOLDENS");
    return nullptr;
  }
  return std::make_unique<Golden>(folder, name);
}

inline std::shared_ptr<Model> load_golden(const Golden& golden, bool exact = true, int n_threads = 1) {
  LoadOptions options;
  options.exact = exact;
  options.n_threads = n_threads;
  return Model::load(golden.gguf_path(), options);
}

inline std::shared_ptr<Session> open_session(const std::shared_ptr<Model>& model, int64_t prefill_chunk = 0,
                                             CacheFormat format = CacheFormat::kF32) {
  SessionOptions options;
  options.max_seq_len = std::min<int64_t>(256, model->info().max_seq_len);
  options.cache_format = format;
  options.prefill_chunk = prefill_chunk;
  return Session::create(model, options);
}

inline std::vector<float> flat(const Logits& logits) {
  std::vector<float> values;
  for (int64_t row = 0; row < logits.n_rows(); ++row)
    values.insert(values.end(), logits.row(row).begin(), logits.row(row).end());
  return values;
}

inline Logits all_logits(Session& session, std::span<const int32_t> tokens, MlaForm form = MlaForm::kAuto) {
  EvaluateOptions options;
  options.want_logits = WantLogits::kAll;
  options.mla_form = form;
  return session.evaluate(tokens, options);
}

inline std::vector<int32_t> greedy_tokens(Session& session, std::span<const int32_t> prompt, size_t n) {
  std::vector<int32_t> tokens;
  Logits last = session.evaluate(prompt);
  while (tokens.size() < n) {
    tokens.push_back(argmax(last.row(0)));
    last = session.evaluate({&tokens.back(), 1});
  }
  return tokens;
}

// Per-position NMSE of logits against an array [n_tokens, vocab_size].
inline std::vector<double> row_errors(const Logits& logits, const GoldenArray& golden) {
  std::vector<double> errors;
  const size_t width = static_cast<size_t>(logits.vocab_size());
  for (int64_t row = 0; row < logits.n_rows(); ++row)
    errors.push_back(nmse(logits.row(row), golden.f32().subspan(static_cast<size_t>(row) * width, width)));
  return errors;
}

}  // namespace moebius::test
