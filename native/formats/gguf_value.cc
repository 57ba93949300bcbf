#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/gguf_metadata.h"

namespace moebius {

static_assert(std::endian::native == std::endian::little, "GGUF values are read in place");

namespace {

template <typename T>
T load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

bool is_integer(GgufType type) {
  return gguf_type_bytes(type) != 0 && type != GgufType::kF32 && type != GgufType::kF64;
}

}  // namespace

const char* gguf_type_name(GgufType type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  const auto id = static_cast<uint32_t>(type);
  return id < std::size(kNames) ? kNames[id] : "unknown";
}

size_t gguf_type_bytes(GgufType type) {
  constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  const auto id = static_cast<uint32_t>(type);
  return id < std::size(kBytes) ? kBytes[id] : 0;
}

std::optional<int64_t> GgufValue::integer(uint64_t index) const {
  if (!is_integer(type) || index >= count) return std::nullopt;
  const uint8_t* at = data + index * gguf_type_bytes(type);
  switch (type) {
    case GgufType::kU8: return load<uint8_t>(at);
    case GgufType::kI8: return load<int8_t>(at);
    case GgufType::kU16: return load<uint16_t>(at);
    case GgufType::kI16: return load<int16_t>(at);
    case GgufType::kU32: return load<uint32_t>(at);
    case GgufType::kI32: return load<int32_t>(at);
    case GgufType::kBool: return load<uint8_t>(at) != 0 ? 1 : 0;
    case GgufType::kI64: return load<int64_t>(at);
    default: break;
  }
  const uint64_t wide = load<uint64_t>(at);
  if (wide > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(wide);
}

std::optional<double> GgufValue::number(uint64_t index) const {
  if (index >= count) return std::nullopt;
  if (type == GgufType::kF32) return load<float>(data + index * 4);
  if (type == GgufType::kF64) return load<double>(data + index * 8);
  if (type == GgufType::kU64) return static_cast<double>(load<uint64_t>(data + index * 8));
  if (type == GgufType::kBool) return std::nullopt;
  const auto whole = integer(index);
  return whole ? std::optional<double>(static_cast<double>(*whole)) : std::nullopt;
}

std::optional<bool> GgufValue::boolean(uint64_t index) const {
  const auto whole = integer(index);
  if (!whole || (type != GgufType::kBool && *whole != 0 && *whole != 1)) return std::nullopt;
  return *whole != 0;
}

std::optional<std::string_view> GgufValue::text() const {
  if (type != GgufType::kString || is_array) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(data + 8), n_bytes - 8);
}

std::vector<std::string_view> GgufValue::texts() const {
  std::vector<std::string_view> all;
  if (type != GgufType::kString) return all;
  all.reserve(std::min<uint64_t>(count, GgufMetadata::kMaxArrayRead));
  const uint8_t* at = data;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t length = load<uint64_t>(at);
    all.emplace_back(reinterpret_cast<const char*>(at + 8), length);
    at += 8 + length;
  }
  return all;
}

std::string GgufValue::kind() const {
  const std::string name = gguf_type_name(type);
  return is_array ? name + " array of " + std::to_string(count) : name;
}

std::string GgufValue::display(size_t max_bytes) const {
  if (const auto one = text()) return printable_text(*one, max_bytes);
  std::string out = is_array ? "[" : "";
  const uint8_t* at = data;
  for (uint64_t i = 0; i < count; ++i) {
    if (out.size() > max_bytes) return printable_text(out, max_bytes) + " (" + kind() + ")";
    if (i > 0) out += ", ";
    if (type == GgufType::kString) {
      const uint64_t length = load<uint64_t>(at);
      out += '"';
      out += printable_text({reinterpret_cast<const char*>(at + 8), length}, max_bytes);
      out += '"';
      at += 8 + length;
    } else if (type == GgufType::kBool) {
      out += *boolean(i) ? "true" : "false";
    } else if (const auto whole = integer(i)) {
      out += std::to_string(*whole);
    } else {
      out += format_text("%.9g", number(i).value_or(0));
    }
  }
  return is_array ? out + "]" : out;
}

}  // namespace moebius
