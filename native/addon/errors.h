// Failures on their way to JavaScript. Whatever is thrown below becomes an Error with a
// `code` ("E_GGUF") and a `hint`; nothing else crosses the N-API border.
#pragma once

#include <napi.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace moebius::addon {

// A failure as plain data, so that a worker thread can hand it to the event loop.
struct Failure {
  std::string code = "E_INTERNAL";
  std::string message;
  std::string hint;
};

// For codes that only the binding knows: E_CONFLICT, E_NATIVE.
class AddonError : public std::runtime_error {
 public:
  AddonError(std::string code, const std::string& message, std::string hint = "")
      : std::runtime_error(message), code_(std::move(code)), hint_(std::move(hint)) {}
  const std::string& code() const { return code_; }
  const std::string& hint() const { return hint_; }

 private:
  std::string code_;
  std::string hint_;
};

// Describes the exception in flight: call it inside a catch block only.
Failure current_failure();

Napi::Error to_js_error(Napi::Env env, const Failure& failure);

// Every exported function goes through this.
template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return Function(info);
  } catch (const Napi::Error&) {
    throw;  // already a JavaScript error, for instance from a getter of the caller's object
  } catch (...) {
    throw to_js_error(info.Env(), current_failure());
  }
}

}  // namespace moebius::addon
