#include "addon/errors.h"

#include <new>

#include "base/error.h"

namespace moebius::addon {

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error_code_name(error.code()), error.what(), error.hint()};
  } catch (const AddonError& error) {
    return {error.code(), error.what(), error.hint()};
  } catch (const std::bad_alloc&) {
    return {"E_MEMORY", "out of memory in the native engine", "Close other models or programs and try again."};
  } catch (const std::exception& error) {
    return {"E_INTERNAL", std::string("unexpected failure in the native engine: ") + error.what(), ""};
  } catch (...) {
    return {"E_INTERNAL", "unexpected failure in the native engine", ""};
  }
}

Napi::Error to_js_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, failure.code));
  error.Set("hint", Napi::String::New(env, failure.hint));
  return error;
}

}  // namespace moebius::addon
