// Strict reading of JavaScript arguments into plain C++ values. Every failure is
// Error(kBadRequest) with the argument's name, what it must be and what came.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace moebius::addon {

std::string read_string(const Napi::Value& value, const std::string& name);
// A string without NUL characters and not empty.
std::string read_path(const Napi::Value& value, const std::string& name);
bool read_boolean(const Napi::Value& value, const std::string& name);
// Finite, within [min, max].
double read_number(const Napi::Value& value, const std::string& name, double min, double max);
int64_t read_integer(const Napi::Value& value, const std::string& name, int64_t min, int64_t max);
// An Int32Array, copied.
std::vector<int32_t> read_tokens(const Napi::Value& value, const std::string& name);
Napi::Function read_function(const Napi::Value& value, const std::string& name);
// Most bytes that may be asked for streamed experts: more than any machine has.
inline constexpr int64_t kMaxExpertMemory = int64_t{1} << 50;
// A plain object of strings, in its own order.
std::vector<std::pair<std::string, std::string>> read_string_map(const Napi::Value& value, const std::string& name);

// Reads the properties of one object and refuses those nobody asked for: a misspelt option
// must not pass in silence.
class ObjectReader {
 public:
  ObjectReader(const Napi::Value& value, std::string name);

  // True when the property is there and not undefined.
  bool has(const char* key);
  Napi::Value value(const char* key);
  std::string path_of(const char* key) const { return name_ + "." + key; }

  std::string string(const char* key);
  bool boolean(const char* key);
  double number(const char* key, double min, double max);
  int64_t integer(const char* key, int64_t min, int64_t max);

  // Throws for properties that were never read.
  void finish() const;

 private:
  Napi::Object object_;
  std::string name_;
  std::vector<std::string> known_;
};

}  // namespace moebius::addon
