#include "formats/gguf_metadata.h"

#include "base/error.h"
#include "base/utf8.h"

namespace moebius {

namespace {

[[noreturn]] void wrong_kind(std::string_view key, const char* expected, const GgufValue& value) {
  throw Error(ErrorCode::kGguf, format_text("key %s: expected %s, found %s %s", printable_text(key).c_str(), expected,
                                            value.kind().c_str(), value.display(40).c_str()));
}

[[noreturn]] void absent(std::string_view key) {
  throw Error(ErrorCode::kGguf, "key " + printable_text(key) + " is missing",
              "The file is incomplete or was written by a broken converter.");
}

const GgufValue& array_of(std::string_view key, const GgufValue& value, const char* expected) {
  if (!value.is_array) wrong_kind(key, expected, value);
  if (value.count > GgufMetadata::kMaxArrayRead)
    throw Error(ErrorCode::kGguf,
                format_text("key %s: %llu entries, more than the limit of %llu", printable_text(key).c_str(),
                            static_cast<unsigned long long>(value.count),
                            static_cast<unsigned long long>(GgufMetadata::kMaxArrayRead)));
  return value;
}

}  // namespace

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = index_.find(std::string(key));
  return found == index_.end() ? nullptr : &entries_[found->second].value;
}

bool GgufMetadata::add(std::string key, GgufValue value) {
  if (!index_.emplace(key, entries_.size()).second) return false;
  entries_.push_back({std::move(key), std::move(value)});
  return true;
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key, int64_t min, int64_t max) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto whole = value->is_array ? std::nullopt : value->integer();
  if (!whole) wrong_kind(key, "an integer", *value);
  if (*whole < min || *whole > max)
    throw Error(ErrorCode::kGguf,
                format_text("key %s: %lld is not between %lld and %lld", printable_text(key).c_str(),
                            static_cast<long long>(*whole), static_cast<long long>(min), static_cast<long long>(max)));
  return whole;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = value->is_array ? std::nullopt : value->number();
  if (!number) wrong_kind(key, "a number", *value);
  return number;
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto boolean = value->is_array ? std::nullopt : value->boolean();
  if (!boolean) wrong_kind(key, "true or false", *value);
  return boolean;
}

std::optional<std::string_view> GgufMetadata::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto text = value->text();
  if (!text) wrong_kind(key, "a string", *value);
  return text;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  array_of(key, *value, "an array of integers");
  std::vector<int64_t> all(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto whole = value->integer(i);
    if (!whole) wrong_kind(key, "an array of integers", *value);
    all[i] = *whole;
  }
  return all;
}

std::optional<std::vector<float>> GgufMetadata::numbers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  array_of(key, *value, "an array of numbers");
  std::vector<float> all(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto number = value->number(i);
    if (!number) wrong_kind(key, "an array of numbers", *value);
    all[i] = static_cast<float>(*number);
  }
  return all;
}

std::optional<std::vector<std::string_view>> GgufMetadata::texts(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  array_of(key, *value, "an array of strings");
  if (value->type != GgufType::kString) wrong_kind(key, "an array of strings", *value);
  return value->texts();
}

std::optional<std::vector<int64_t>> GgufMetadata::per_layer(std::string_view key, int64_t n_layers) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array) return std::vector<int64_t>(static_cast<size_t>(n_layers), *integer(key));
  if (value->count != static_cast<uint64_t>(n_layers))
    throw Error(ErrorCode::kGguf,
                format_text("key %s: %llu entries for %lld layers", printable_text(key).c_str(),
                            static_cast<unsigned long long>(value->count), static_cast<long long>(n_layers)));
  return integers(key);
}

int64_t GgufMetadata::require_integer(std::string_view key, int64_t min, int64_t max) const {
  if (const auto value = integer(key, min, max)) return *value;
  absent(key);
}

double GgufMetadata::require_number(std::string_view key) const {
  if (const auto value = number(key)) return *value;
  absent(key);
}

std::string_view GgufMetadata::require_text(std::string_view key) const {
  if (const auto value = text(key)) return *value;
  absent(key);
}

}  // namespace moebius
