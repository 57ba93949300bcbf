// Finds a layer's tensors by name, checks their shapes and hands out views. A missing or
// misshapen tensor is refused by name with what was expected; what nobody asked for ends up
// in ignored_tensors(). In headers-only mode (inspection) shapes are checked but no weight
// is read and no data pointer is usable.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "formats/gguf_model_file.h"
#include "model/config.h"
#include "model/weights.h"

namespace moebius {

class WeightBinder {
 public:
  // Buffers made while loading go to `weights.owned`. experts_stay: nothing of the routed
  // experts is copied, however they lie in the file.
  WeightBinder(const GgufModelFile& file, ModelWeights& weights, bool headers_only, bool experts_stay = false);

  bool has(const std::string& name) const;

  // Matrices. Required ones throw Error(kGguf) when missing.
  Matrix matrix(const std::string& name, int64_t n_in, int64_t n_out);
  Matrix stack(const std::string& name, int64_t n_in, int64_t n_out, int64_t n_matrices);
  // With NAME.bias when the file has it.
  Linear linear(const std::string& base, int64_t n_in, int64_t n_out);

  // f32 vectors; other float formats are converted. Norm weights must be finite.
  const float* vector(const std::string& name, int64_t n);
  const float* optional_vector(const std::string& name, int64_t n);
  // [n, n_rows], or null when absent.
  const float* optional_table(const std::string& name, int64_t n, int64_t n_rows);

  // Experts: stacked `ffn_X_exps`, fused `ffn_gate_up_exps`, or one tensor per expert.
  void experts(const std::string& prefix, int64_t hidden_size, int64_t feed_forward, int64_t n_experts,
               FfnWeights& ffn, ScatteredExperts& scattered);
  // Dense `ffn_gate/up/down` (suffix "") or shared ("_shexp"), with biases when present; a
  // fused `ffn_up` of twice the width holds gate rows first.
  void feed_forward(const std::string& prefix, const std::string& suffix, int64_t hidden_size, int64_t width,
                    FfnWeights& ffn);
  // Separate attn_q/k/v or one attn_qkv.
  void query_key_value(const std::string& prefix, int64_t hidden_size, int64_t q_rows, int64_t k_rows,
                       int64_t v_rows, GqaWeights& gqa);
  // attn_k_b and attn_v_b, or the legacy attn_kv_b split.
  void key_value_up(const std::string& prefix, int64_t n_heads, const MlaConfig& mla, MlaWeights& weights);

  // Tensors of the file no call asked for, in file order.
  std::vector<std::string> ignored_tensors() const;

 private:
  const GgufTensor& require(const std::string& name, const std::vector<int64_t>& shape);
  const float* own_floats(const GgufTensor& tensor, int64_t n);
  Matrix gather_experts(const std::string& prefix, const char* name, int64_t n_in, int64_t n_out,
                        int64_t n_experts, std::vector<const uint8_t*>& scattered);
  Matrix transposed_keys(const Matrix& kv_b, int64_t n_heads, const MlaConfig& mla);
  void attach_scale(const std::string& name, Matrix& matrix);
  void* take_owned(size_t bytes);

  const GgufModelFile& file_;
  ModelWeights& weights_;
  bool headers_only_;
  bool experts_stay_;
  std::set<std::string> used_;
};

}  // namespace moebius
