#include "addon/arguments.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace moebius::addon {
namespace {

std::string describe(const Napi::Value& value) {
  if (value.IsEmpty() || value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    return format_text("%.17g", number);
  }
  if (value.IsString()) return "a string";
  if (value.IsBoolean()) return "a boolean";
  if (value.IsBigInt()) return "a bigint";
  if (value.IsSymbol()) return "a symbol";
  if (value.IsFunction()) return "a function";
  if (value.IsArray()) return "an array";
  if (value.IsTypedArray()) return "a typed array of another type";
  return "an object";
}

[[noreturn]] void refuse(const std::string& name, const std::string& expected, const Napi::Value& value) {
  throw Error(ErrorCode::kBadRequest, "argument '" + name + "' must be " + expected + ", got " + describe(value));
}

}  // namespace

std::string read_string(const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) refuse(name, "a string", value);
  return value.As<Napi::String>().Utf8Value();
}

std::string read_path(const Napi::Value& value, const std::string& name) {
  std::string path = read_string(value, name);
  if (path.empty()) throw Error(ErrorCode::kBadRequest, "argument '" + name + "' must be a path, got an empty string");
  if (path.find('\0') != std::string::npos) {
    throw Error(ErrorCode::kBadRequest, "argument '" + name + "' must be a path, got a string with a NUL character");
  }
  return path;
}

bool read_boolean(const Napi::Value& value, const std::string& name) {
  if (!value.IsBoolean()) refuse(name, "a boolean", value);
  return value.As<Napi::Boolean>().Value();
}

double read_number(const Napi::Value& value, const std::string& name, double min, double max) {
  const auto expected = [&] { return format_text("a number from %g to %g", min, max); };
  if (!value.IsNumber()) refuse(name, expected(), value);
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!std::isfinite(number) || number < min || number > max) refuse(name, expected(), value);
  return number;
}

int64_t read_integer(const Napi::Value& value, const std::string& name, int64_t min, int64_t max) {
  const auto expected = [&] {
    return format_text("an integer from %lld to %lld", static_cast<long long>(min), static_cast<long long>(max));
  };
  if (!value.IsNumber()) refuse(name, expected(), value);
  const double number = value.As<Napi::Number>().DoubleValue();
  // Compared as doubles first: the conversion of a number out of range is undefined.
  if (!std::isfinite(number) || number != std::trunc(number) || number < static_cast<double>(min) ||
      number > static_cast<double>(max)) {
    refuse(name, expected(), value);
  }
  return static_cast<int64_t>(number);
}

std::vector<int32_t> read_tokens(const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    refuse(name, "an Int32Array", value);
  }
  const Napi::Int32Array tokens = value.As<Napi::Int32Array>();
  return {tokens.Data(), tokens.Data() + tokens.ElementLength()};
}

Napi::Function read_function(const Napi::Value& value, const std::string& name) {
  if (!value.IsFunction()) refuse(name, "a function", value);
  return value.As<Napi::Function>();
}

std::vector<std::pair<std::string, std::string>> read_string_map(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject() || value.IsArray() || value.IsFunction()) refuse(name, "an object of strings", value);
  const Napi::Object object = value.As<Napi::Object>();
  const Napi::Array keys = object.GetPropertyNames();
  std::vector<std::pair<std::string, std::string>> entries;
  for (uint32_t i = 0; i < keys.Length(); ++i) {
    const std::string key = Napi::Value(keys[i]).As<Napi::String>().Utf8Value();
    entries.emplace_back(key, read_string(object.Get(key), name + "." + key));
  }
  return entries;
}

ObjectReader::ObjectReader(const Napi::Value& value, std::string name) : name_(std::move(name)) {
  if (!value.IsObject() || value.IsArray() || value.IsFunction()) refuse(name_, "an object", value);
  object_ = value.As<Napi::Object>();
}

bool ObjectReader::has(const char* key) { return !value(key).IsUndefined(); }

Napi::Value ObjectReader::value(const char* key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return object_.Get(key);
}

std::string ObjectReader::string(const char* key) { return read_string(value(key), path_of(key)); }
bool ObjectReader::boolean(const char* key) { return read_boolean(value(key), path_of(key)); }
double ObjectReader::number(const char* key, double min, double max) {
  return read_number(value(key), path_of(key), min, max);
}
int64_t ObjectReader::integer(const char* key, int64_t min, int64_t max) {
  return read_integer(value(key), path_of(key), min, max);
}

void ObjectReader::finish() const {
  const Napi::Array keys = object_.GetPropertyNames();
  for (uint32_t i = 0; i < keys.Length(); ++i) {
    const std::string key = Napi::Value(keys[i]).As<Napi::String>().Utf8Value();
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      throw Error(ErrorCode::kBadRequest, "argument '" + name_ + "' has an unknown property '" + key + "'");
    }
  }
}

}  // namespace moebius::addon
