// Metadata given by the user in place of the file's.
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/gguf_metadata.h"

namespace moebius {

namespace {

enum class Wanted { kInteger, kFloat, kBool, kText };

std::optional<int64_t> read_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> read_float(std::string_view text) {
  if (text.empty() || text.size() > 64 || text.find_first_not_of("+-.0123456789eE") != std::string_view::npos)
    return std::nullopt;
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<bool> read_bool(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

template <typename T>
void append(std::vector<uint8_t>& bytes, T value) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

GgufValue owned(GgufType type, std::vector<uint8_t> bytes) {
  GgufValue value;
  value.type = type;
  value.owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  value.data = value.owner->data();
  value.n_bytes = value.owner->size();
  value.overridden = true;
  return value;
}

std::optional<GgufValue> scalar(Wanted wanted, std::string_view text) {
  std::vector<uint8_t> bytes;
  if (wanted == Wanted::kInteger) {
    const auto value = read_integer(text);
    if (!value) return std::nullopt;
    append(bytes, *value);
    return owned(GgufType::kI64, std::move(bytes));
  }
  if (wanted == Wanted::kFloat) {
    const auto value = read_float(text);
    if (!value) return std::nullopt;
    append(bytes, *value);
    return owned(GgufType::kF64, std::move(bytes));
  }
  if (wanted == Wanted::kBool) {
    const auto value = read_bool(text);
    if (!value) return std::nullopt;
    append(bytes, static_cast<uint8_t>(*value));
    return owned(GgufType::kBool, std::move(bytes));
  }
  append(bytes, static_cast<uint64_t>(text.size()));
  bytes.insert(bytes.end(), text.begin(), text.end());
  return owned(GgufType::kString, std::move(bytes));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// "[1, 2, 3]": integers when all are, else floats.
std::optional<GgufValue> number_array(std::string_view text) {
  text = text.substr(1, text.size() - 2);
  std::vector<uint8_t> integers, floats;
  bool all_integers = true;
  uint64_t count = 0;
  while (!trimmed(text).empty()) {
    const std::string_view item = trimmed(text.substr(0, text.find(',')));
    text = text.find(',') == std::string_view::npos ? "" : text.substr(text.find(',') + 1);
    const auto value = read_float(item);
    if (!value) return std::nullopt;
    const auto whole = read_integer(item);
    all_integers = all_integers && whole.has_value();
    append(integers, whole.value_or(0));
    append(floats, *value);
    ++count;
  }
  GgufValue array = all_integers ? owned(GgufType::kI64, std::move(integers)) : owned(GgufType::kF64, std::move(floats));
  array.is_array = true;
  array.count = count;
  return array;
}

Wanted wanted_like(const GgufValue& value) {
  switch (value.type) {
    case GgufType::kString: return Wanted::kText;
    case GgufType::kBool: return Wanted::kBool;
    case GgufType::kF32: case GgufType::kF64: return Wanted::kFloat;
    default: return Wanted::kInteger;
  }
}

Wanted wanted_by_looks(std::string_view text) {
  if (read_integer(text)) return Wanted::kInteger;
  if (read_float(text)) return Wanted::kFloat;
  return text == "true" || text == "false" ? Wanted::kBool : Wanted::kText;
}

std::optional<GgufValue> read_override(const GgufValue* present, std::string_view text) {
  constexpr std::pair<std::string_view, Wanted> kPrefixes[] = {
      {"int:", Wanted::kInteger}, {"float:", Wanted::kFloat}, {"bool:", Wanted::kBool}, {"str:", Wanted::kText}};
  for (const auto& [prefix, wanted] : kPrefixes)
    if (text.starts_with(prefix)) return scalar(wanted, text.substr(prefix.size()));
  const bool texts = present != nullptr && present->type == GgufType::kString;
  if (!texts && text.starts_with('[') && text.ends_with(']')) return number_array(text);
  return scalar(present != nullptr ? wanted_like(*present) : wanted_by_looks(text), text);
}

}  // namespace

void GgufMetadata::apply(const GgufOverride& override_) {
  const std::string& key = override_.key;
  const std::string shown = printable_text(key);
  if (key.empty() || !is_valid_utf8(key) || !is_valid_utf8(override_.value))
    throw Error(ErrorCode::kBadRequest, "metadata override: \"" + shown + "\" is no key=value in UTF-8");
  if (key == "general.alignment" || key.starts_with("split."))
    throw Error(ErrorCode::kBadRequest, "metadata override: " + shown + " describes the container and stays as it is");
  const GgufValue* present = find(key);
  std::optional<GgufValue> value = read_override(present, override_.value);
  if (!value)
    throw Error(ErrorCode::kBadRequest,
                "metadata override: " + shown + "=" + printable_text(override_.value) + " cannot be read" +
                    (present ? " as " + present->kind() : std::string()),
                "Name the type in front of the value: int:, float:, bool: or str:.");
  const auto [position, is_new] = index_.emplace(key, entries_.size());
  if (is_new) entries_.push_back({key, std::move(*value)});
  else entries_[position->second].value = std::move(*value);
}

}  // namespace moebius
