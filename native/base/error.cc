#include "base/error.h"

#include <cstdarg>
#include <cstdio>

namespace moebius {

const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadRequest: return "E_BAD_REQUEST";
    case ErrorCode::kGguf: return "E_GGUF";
    case ErrorCode::kShardMissing: return "E_SHARD_MISSING";
    case ErrorCode::kUnsupported: return "E_UNSUPPORTED";
    case ErrorCode::kContextLength: return "E_CONTEXT_LENGTH";
    case ErrorCode::kGrammar: return "E_GRAMMAR";
    case ErrorCode::kMemory: return "E_MEMORY";
    case ErrorCode::kCancelled: return "E_CANCELLED";
    case ErrorCode::kIo: return "E_IO";
    case ErrorCode::kInternal: return "E_INTERNAL";
  }
  return "E_INTERNAL";
}

std::string format_text(const char* format, ...) {
  va_list arguments, measured;
  va_start(arguments, format);
  va_copy(measured, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, measured);
  va_end(measured);
  std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
  if (length > 0) std::vsnprintf(text.data(), text.size() + 1, format, arguments);
  va_end(arguments);
  return text;
}

}  // namespace moebius
