// UTF-8 checks shared by the readers of files and text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moebius {

// Offset of the first byte that is not part of a well-formed character (RFC 3629: no
// overlong forms, no surrogates, at most U+10FFFF), or npos when all of text is valid.
size_t utf8_error_offset(std::string_view text);

inline bool is_valid_utf8(std::string_view text) {
  return utf8_error_offset(text) == std::string_view::npos;
}

// text for an error message: control and non-UTF-8 bytes as \xNN, cut after max_bytes.
std::string printable_text(std::string_view text, size_t max_bytes = 64);

}  // namespace moebius
