// Errors of the native engine. Everything below addon/ reports failure by throwing Error;
// addon/ turns it into a JavaScript error with the same code. No other exception type may
// cross the N-API border. A message says what failed, where, and what was expected.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace moebius {

enum class ErrorCode {
  kBadRequest,     // E_BAD_REQUEST: an argument is out of range
  kGguf,           // E_GGUF: the file is broken or inconsistent
  kShardMissing,   // E_SHARD_MISSING: a part of a split set is not there
  kUnsupported,    // E_UNSUPPORTED: a valid file or request this build cannot serve
  kContextLength,  // E_CONTEXT_LENGTH: prompt and answer do not fit
  kGrammar,        // E_GRAMMAR: a grammar or JSON schema does not parse
  kMemory,         // E_MEMORY: an allocation or mapping was refused
  kCancelled,      // E_CANCELLED
  kIo,             // E_IO: the operating system refused a file operation
  kInternal,       // E_INTERNAL: a check of ours failed
};

// The spelling used by the contract, for instance "E_GGUF".
const char* error_code_name(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::string hint = "")
      : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}
  ErrorCode code() const { return code_; }
  // What the user can do about it; may be empty.
  const std::string& hint() const { return hint_; }

 private:
  ErrorCode code_;
  std::string hint_;
};

// printf-style std::string, for error messages.
#if defined(__MINGW32__) && !defined(__clang__)
__attribute__((format(gnu_printf, 1, 2)))
#elif defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
std::string format_text(const char* format, ...);

}  // namespace moebius
