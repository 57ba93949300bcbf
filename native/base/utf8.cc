#include "base/utf8.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"

namespace moebius {

namespace {

// Length of the well-formed character at text[at], 0 when there is none.
size_t character_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t index) -> uint32_t {
    return index < text.size() ? static_cast<uint8_t>(text[index]) : 0;
  };
  const auto follows = [&](size_t index) { return (byte(index) & 0xc0) == 0x80; };
  const uint32_t lead = byte(at);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(at + 1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!follows(at + 1) || !follows(at + 2)) return 0;
    const uint32_t code = ((lead & 0xf) << 12) | ((byte(at + 1) & 0x3f) << 6);
    return code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 0 : 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!follows(at + 1) || !follows(at + 2) || !follows(at + 3)) return 0;
    const uint32_t code = ((lead & 0x7) << 18) | ((byte(at + 1) & 0x3f) << 12);
    return code < 0x10000 || code >= 0x110000 ? 0 : 4;
  }
  return 0;
}

}  // namespace

size_t utf8_error_offset(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

std::string printable_text(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = character_length(text, at);
    if (at + std::max<size_t>(length, 1) > max_bytes) return out + "...";
    const uint8_t lead = static_cast<uint8_t>(text[at]);
    if (length == 0 || lead < 0x20 || lead == 0x7f) {
      out += format_text("\\x%02x", lead);
      ++at;
    } else {
      out.append(text.substr(at, length));
      at += length;
    }
  }
  return out;
}

}  // namespace moebius
