#include "model/config_reader.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr int64_t kLargestDimension = (int64_t{1} << 31) - 1;

std::string number_text(double value) { return format_text("%.9g", value); }

}  // namespace

ConfigReader::ConfigReader(const GgufModelFile& file)
    : file_(file), architecture_(file.metadata().require_text("general.architecture")) {}

std::optional<int64_t> ConfigReader::find_integer(const std::string& full_key) const {
  return file_.metadata().integer(full_key);
}

std::optional<double> ConfigReader::find_number(const std::string& full_key) const {
  const auto value = file_.metadata().number(full_key);
  if (value && !std::isfinite(*value))
    throw Error(ErrorCode::kGguf, format_text("%s: expected a finite number", full_key.c_str()));
  return value;
}

std::optional<bool> ConfigReader::find_flag(const std::string& full_key) const {
  return file_.metadata().boolean(full_key);
}

std::optional<std::string> ConfigReader::find_text(const std::string& full_key) const {
  const auto text = file_.metadata().text(full_key);
  if (!text) return std::nullopt;
  return std::string(*text);
}

std::string ConfigReader::origin_of(const std::string& full_key) const {
  const GgufValue* value = file_.metadata().find(full_key);
  if (value == nullptr) return "default";
  return value->overridden ? "override" : "key";
}

int64_t ConfigReader::integer_or(const std::string& suffix, const std::string& name, int64_t least,
                                 int64_t fallback) {
  const std::string full = key(suffix);
  const int64_t value = file_.metadata().integer(full, least, kLargestDimension).value_or(fallback);
  note(name, value, origin_of(full), full);
  return value;
}

int64_t ConfigReader::dimension(const std::string& suffix, const std::string& name) {
  const std::string full = key(suffix);
  const int64_t value = file_.metadata().require_integer(full, 1, kLargestDimension);
  note(name, value, origin_of(full), full);
  return value;
}

int64_t ConfigReader::dimension_or(const std::string& suffix, const std::string& name, int64_t fallback) {
  return integer_or(suffix, name, /*least=*/1, fallback);
}

int64_t ConfigReader::count_or(const std::string& suffix, const std::string& name, int64_t fallback) {
  return integer_or(suffix, name, /*least=*/0, fallback);
}

double ConfigReader::number_or(const std::string& suffix, const std::string& name, double fallback) {
  const std::string full = key(suffix);
  const double value = find_number(full).value_or(fallback);
  note(name, number_text(value), origin_of(full), full);
  return value;
}

double ConfigReader::number(const std::string& suffix, const std::string& name) {
  file_.metadata().require_number(key(suffix));
  return number_or(suffix, name, 0);
}

bool ConfigReader::flag_or(const std::string& suffix, const std::string& name, bool fallback) {
  const std::string full = key(suffix);
  const bool value = find_flag(full).value_or(fallback);
  note(name, value ? "true" : "false", origin_of(full), full);
  return value;
}

std::vector<int64_t> ConfigReader::per_layer_or(const std::string& suffix, const std::string& name, int64_t n,
                                                int64_t fallback) {
  const std::string full = key(suffix);
  const GgufValue* value = file_.metadata().find(full);
  if (value == nullptr || !value->is_array)
    return std::vector<int64_t>(static_cast<size_t>(n), count_or(suffix, name, fallback));
  std::vector<int64_t> values = *file_.metadata().integers(full);
  if (static_cast<int64_t>(values.size()) < n)
    throw Error(ErrorCode::kGguf, format_text("%s: expected one entry for each of %lld layers, got %zu",
                                              full.c_str(), static_cast<long long>(n), values.size()));
  values.resize(static_cast<size_t>(n));
  for (const int64_t each : values)
    if (each < 0 || each > kLargestDimension)
      throw Error(ErrorCode::kGguf, format_text("%s: expected entries in [0, 2^31), got %lld", full.c_str(),
                                                static_cast<long long>(each)));
  note(name, value->display(), origin_of(full), full);
  return values;
}

int64_t ConfigReader::uniform_dimension_or(const std::string& suffix, const std::string& name, int64_t n,
                                           int64_t fallback) {
  int64_t common = 0;
  // Layers without the part in question write 0.
  for (const int64_t each : per_layer_or(suffix, name, n, fallback)) {
    if (each == 0) continue;
    if (common != 0 && each != common)
      throw Error(ErrorCode::kUnsupported,
                  format_text("%s: layers that differ (%lld and %lld) are not supported", key(suffix).c_str(),
                              static_cast<long long>(common), static_cast<long long>(each)));
    common = each;
  }
  return common;
}

int64_t ConfigReader::tensor_dimension(const std::string& name, size_t axis) const {
  const GgufTensor* tensor = file_.find_tensor(name);
  if (tensor == nullptr) throw Error(ErrorCode::kGguf, format_text("tensor %s is missing", name.c_str()));
  return tensor->dims[axis];
}

std::vector<float> ConfigReader::tensor_values(const std::string& name, int64_t n) const {
  const GgufTensor* tensor = file_.find_tensor(name);
  if (tensor == nullptr || tensor->n_elements() != n || tensor->format != QuantFormat::kF32)
    throw Error(ErrorCode::kGguf,
                format_text("tensor %s: expected F32 [%lld], got %s", name.c_str(), static_cast<long long>(n),
                            tensor == nullptr ? "none" : tensor->shape_text().c_str()));
  std::vector<float> values(static_cast<size_t>(n));
  std::memcpy(values.data(), file_.data(*tensor), values.size() * sizeof(float));
  return values;
}

void ConfigReader::note(const std::string& name, const std::string& value, const std::string& origin,
                        const std::string& source) {
  log_.notes.push_back({name, value, origin, origin == "default" ? "" : source});
}

void ConfigReader::note(const std::string& name, int64_t value, const std::string& origin,
                        const std::string& source) {
  note(name, std::to_string(value), origin, source);
}

}  // namespace moebius
