#include "formats/gguf_cursor.h"

#include "base/error.h"

namespace moebius {

namespace {
unsigned long long wide(uint64_t value) { return value; }
}  // namespace

std::string GgufCursor::message(uint64_t offset, const std::string& text) const {
  return format_text("%s: byte %llu: %s", name_.c_str(), wide(offset), text.c_str());
}

void GgufCursor::fail(uint64_t offset, const std::string& text, const std::string& hint) const {
  throw Error(ErrorCode::kGguf, message(offset, text), hint);
}

void GgufCursor::need(uint64_t n, const std::string& what) const {
  if (n > remaining())
    fail(at_, format_text("the file ends %llu bytes before the end of %s", wide(n - remaining()), what.c_str()),
         "The file is incomplete; fetch it again.");
  if (n > bytes_.size() - at_)
    fail(at_, format_text("%s needs %llu bytes, the part of the file at hand has %llu", what.c_str(), wide(at_ + n),
                          wide(bytes_.size())));
}

std::string_view GgufCursor::read_text(uint64_t max_bytes, const std::string& what) {
  const uint64_t begin = at_;
  const uint64_t length = read<uint64_t>("the length of " + what);
  if (length > max_bytes)
    fail(begin, format_text("%s has a length of %llu bytes, at most %llu are allowed", what.c_str(), wide(length),
                            wide(max_bytes)));
  const char* text = reinterpret_cast<const char*>(here());
  skip(length, what);
  return {text, length};
}

void GgufCursor::skip(uint64_t n, const std::string& what) {
  need(n, what);
  at_ += n;
}

}  // namespace moebius
