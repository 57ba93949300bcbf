// Plain engine values to JavaScript objects, field by field, with camelCase names. Byte
// counts and 64-bit ids become numbers: they stay below 2^53.
#pragma once

#include <napi.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace moebius::addon {

// Builds an object without a line of ceremony for each property.
class ObjectWriter {
 public:
  explicit ObjectWriter(Napi::Env env) : env_(env), object_(Napi::Object::New(env)) {}
  ObjectWriter& set(const char* key, const std::string& value);
  ObjectWriter& set(const char* key, const char* value) { return set(key, std::string(value)); }
  ObjectWriter& set(const char* key, bool value);
  ObjectWriter& set(const char* key, double value);
  ObjectWriter& set(const char* key, int value) { return set(key, static_cast<double>(value)); }
  ObjectWriter& set(const char* key, int64_t value) { return set(key, static_cast<double>(value)); }
  ObjectWriter& set(const char* key, uint64_t value) { return set(key, static_cast<double>(value)); }
  ObjectWriter& set(const char* key, const Napi::Value& value);
  ObjectWriter& set(const char* key, const std::vector<std::string>& value);
  Napi::Object object() const { return object_; }

 private:
  Napi::Env env_;
  Napi::Object object_;
};

// An array with convert(item) for every item.
template <typename Items, typename Convert>
Napi::Array to_js_array(Napi::Env env, const Items& items, Convert convert) {
  Napi::Array array = Napi::Array::New(env, items.size());
  uint32_t index = 0;
  for (const auto& item : items) array.Set(index++, convert(item));
  return array;
}

// Typed arrays with their own, copied memory.
Napi::Int32Array to_js(Napi::Env env, std::span<const int32_t> values);
Napi::Uint16Array to_js(Napi::Env env, std::span<const uint16_t> values);
Napi::Uint32Array to_js(Napi::Env env, std::span<const uint32_t> values);
Napi::Float32Array to_js(Napi::Env env, std::span<const float> values);

Napi::Object to_js(Napi::Env env, const ModelInfo& info);
Napi::Object to_js(Napi::Env env, const FileInspection& inspection);

}  // namespace moebius::addon
