// Reads the parts of a GGUF header one after the other and knows where it is when one of
// them does not fit. Used by gguf.cc only.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace moebius {

class GgufCursor {
 public:
  GgufCursor(std::span<const uint8_t> bytes, uint64_t file_bytes, std::string name)
      : bytes_(bytes), file_bytes_(file_bytes), name_(std::move(name)) {}

  uint64_t offset() const { return at_; }
  // Bytes of the file behind the cursor.
  uint64_t remaining() const { return file_bytes_ - at_; }
  uint64_t file_bytes() const { return file_bytes_; }
  const uint8_t* here() const { return bytes_.data() + at_; }

  // "NAME: byte OFFSET: TEXT".
  std::string message(uint64_t offset, const std::string& text) const;
  // Throws Error(kGguf) with that message.
  [[noreturn]] void fail(uint64_t offset, const std::string& text, const std::string& hint = "") const;

  template <typename T>
  T read(const std::string& what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, here(), sizeof value);
    at_ += sizeof value;
    return value;
  }
  // A string of at most max_bytes; points into the bytes.
  std::string_view read_text(uint64_t max_bytes, const std::string& what);
  void skip(uint64_t n, const std::string& what);

 private:
  void need(uint64_t n, const std::string& what) const;

  std::span<const uint8_t> bytes_;
  uint64_t file_bytes_;
  uint64_t at_ = 0;
  std::string name_;
};

}  // namespace moebius
