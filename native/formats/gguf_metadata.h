// The key/value part of a GGUF file. Values are not copied: they point into the mapped file
// (an array of 256,000 strings costs one entry), so the mapping must outlive them. Readers
// are lenient about types, as files in the wild are: any integer type whose value fits.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace moebius {

enum class GgufType : uint32_t {
  kU8 = 0, kI8 = 1, kU16 = 2, kI16 = 3, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7,
  kString = 8, kArray = 9, kU64 = 10, kI64 = 11, kF64 = 12,
};

// "u32", "string", ...; "unknown" for numbers that are no type.
const char* gguf_type_name(GgufType type);
// Bytes of a scalar; 0 for string, array and unknown types.
size_t gguf_type_bytes(GgufType type);

struct GgufValue {
  GgufType type = GgufType::kU8;          // of the elements, for an array
  bool is_array = false;
  uint64_t count = 1;
  // Scalars back to back, or strings as u64 length and bytes, little-endian and unaligned.
  const uint8_t* data = nullptr;
  uint64_t n_bytes = 0;
  uint64_t offset = 0;                    // of data in the file; 0 when overridden
  bool overridden = false;                // given by the user in place of the file's value
  std::shared_ptr<const std::vector<uint8_t>> owner;  // of data, when not in the file

  // Element `index`, or nothing when it is of another kind or does not fit. A bool reads
  // as the integer 0 or 1, an integer as a number.
  std::optional<int64_t> integer(uint64_t index = 0) const;
  std::optional<double> number(uint64_t index = 0) const;
  std::optional<bool> boolean(uint64_t index = 0) const;
  // The string, when this is a single one.
  std::optional<std::string_view> text() const;
  // All strings in order, one walk; empty when these are no strings.
  std::vector<std::string_view> texts() const;
  // "u32 array of 61" or "string": what the value is, for messages.
  std::string kind() const;
  // The value for people: arrays show their first entries, everything is cut at max_bytes.
  std::string display(size_t max_bytes = 200) const;
};

struct GgufEntry {
  std::string key;
  GgufValue value;
};

// A user's "key=value". The value may name its type (int:, float:, bool:, str:); without
// one it takes the file's type, else what it looks like. [1,2,3] is an array of numbers.
struct GgufOverride {
  std::string key;
  std::string value;
};

class GgufMetadata {
 public:
  const std::vector<GgufEntry>& entries() const { return entries_; }
  const GgufValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // The value of a key, nothing when absent. Throws Error(kGguf) naming the key, what was
  // found and what was expected when it is of another kind or out of [min, max].
  std::optional<int64_t> integer(std::string_view key, int64_t min = std::numeric_limits<int64_t>::min(),
                                 int64_t max = std::numeric_limits<int64_t>::max()) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  // Arrays; an absent key is an empty optional. At most kMaxArrayRead entries.
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<float>> numbers(std::string_view key) const;
  std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
  // A key that may be one integer for all layers or an array with one entry per layer.
  std::optional<std::vector<int64_t>> per_layer(std::string_view key, int64_t n_layers) const;

  // The same, but an absent key throws Error(kGguf).
  int64_t require_integer(std::string_view key, int64_t min, int64_t max) const;
  double require_number(std::string_view key) const;
  std::string_view require_text(std::string_view key) const;

  // False when the key exists already.
  bool add(std::string key, GgufValue value);
  // Throws Error(kBadRequest) when the value cannot be read or the key may not be changed
  // (general.alignment and split.*: they describe the container itself).
  void apply(const GgufOverride& override_);

  static constexpr uint64_t kMaxArrayRead = uint64_t{1} << 22;

 private:
  std::vector<GgufEntry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace moebius
