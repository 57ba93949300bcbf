#include "model/weight_binder.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t each : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(each);
  return text + "]";
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

WeightBinder::WeightBinder(const GgufModelFile& file, ModelWeights& weights, bool headers_only, bool experts_stay)
    : file_(file), weights_(weights), headers_only_(headers_only), experts_stay_(experts_stay) {}

bool WeightBinder::has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

const GgufTensor& WeightBinder::require(const std::string& name, const std::vector<int64_t>& shape) {
  const GgufTensor* tensor = file_.find_tensor(name);
  if (tensor == nullptr)
    throw Error(ErrorCode::kGguf,
                format_text("tensor %s is missing, expected %s", name.c_str(), shape_text(shape).c_str()));
  for (size_t axis = 0; axis < 4; ++axis)
    if (tensor->dims[axis] != (axis < shape.size() ? shape[axis] : 1))
      throw Error(ErrorCode::kGguf, format_text("tensor %s: expected %s, got %s", name.c_str(),
                                                shape_text(shape).c_str(), tensor->shape_text().c_str()));
  used_.insert(name);
  return *tensor;
}

Matrix WeightBinder::matrix(const std::string& name, int64_t n_in, int64_t n_out) {
  Matrix result = gguf_matrix(file_, require(name, {n_in, n_out}));
  attach_scale(name, result);
  return result;
}

Matrix WeightBinder::stack(const std::string& name, int64_t n_in, int64_t n_out, int64_t n_matrices) {
  Matrix result = gguf_matrix(file_, require(name, {n_in, n_out, n_matrices}));
  result.n_matrices = n_matrices;  // a stack of one reads as a plain matrix
  attach_scale(name, result);
  return result;
}

// NVFP4 files carry NAME.scale, one for the tensor or one per matrix; NAME.input_scale is
// for engines that quantise activations to FP4.
void WeightBinder::attach_scale(const std::string& name, Matrix& matrix) {
  if (!ends_with(name, ".weight")) return;
  const std::string base = name.substr(0, name.size() - 7);
  if (has(base + ".input_scale")) used_.insert(base + ".input_scale");
  const GgufTensor* scale = file_.find_tensor(base + ".scale");
  if (scale == nullptr) return;
  const int64_t n = scale->n_elements();
  if (n != 1 && n != matrix.n_matrices)
    throw Error(ErrorCode::kGguf,
                format_text("tensor %s.scale: expected 1 or %lld values, got %s", base.c_str(),
                            static_cast<long long>(matrix.n_matrices), scale->shape_text().c_str()));
  matrix.matrix_scales = own_floats(*scale, n);
  matrix.scale_per_matrix = n > 1;
  used_.insert(scale->name);
}

Linear WeightBinder::linear(const std::string& base, int64_t n_in, int64_t n_out) {
  Linear result;
  result.weight = matrix(base + ".weight", n_in, n_out);
  result.bias = optional_vector(base + ".bias", n_out);
  return result;
}

const float* WeightBinder::vector(const std::string& name, int64_t n) {
  return own_floats(require(name, {n}), n);
}

const float* WeightBinder::optional_vector(const std::string& name, int64_t n) {
  return has(name) ? vector(name, n) : nullptr;
}

const float* WeightBinder::optional_table(const std::string& name, int64_t n, int64_t n_rows) {
  return has(name) ? own_floats(require(name, {n, n_rows}), n * n_rows) : nullptr;
}

void* WeightBinder::take_owned(size_t bytes) {
  weights_.owned.emplace_back(bytes);
  return weights_.owned.back().data();
}

// Vectors are used in place when they are aligned f32, converted otherwise.
const float* WeightBinder::own_floats(const GgufTensor& tensor, int64_t n) {
  if (headers_only_) return reinterpret_cast<const float*>(file_.data(tensor));
  const float* values = reinterpret_cast<const float*>(file_.data(tensor));
  if (tensor.format != QuantFormat::kF32 || reinterpret_cast<uintptr_t>(values) % alignof(float) != 0) {
    const QuantFormatInfo& info = quant_format_info(tensor.format);
    if (info.dequantize_row == nullptr)
      throw Error(ErrorCode::kUnsupported,
                  format_text("tensor %s: %s is not a weight format", tensor.name.c_str(), info.name));
    float* copy = static_cast<float*>(take_owned(static_cast<size_t>(n) * sizeof(float)));
    info.dequantize_row(file_.data(tensor), copy, n);
    values = copy;
  }
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(values[i]))
      throw Error(ErrorCode::kGguf,
                  format_text("tensor %s: element %lld is not finite", tensor.name.c_str(),
                              static_cast<long long>(i)),
                  "The file is damaged. Get another copy.");
  return values;
}

std::vector<std::string> WeightBinder::ignored_tensors() const {
  std::vector<std::string> names;
  for (const GgufTensor& tensor : file_.tensors())
    if (used_.count(tensor.name) == 0) names.push_back(tensor.name);
  return names;
}

}  // namespace moebius
