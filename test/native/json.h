// A JSON reader for trusted test data; no more than the fixtures need.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace moebius::test {

class Json {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  static Json parse(const std::string& text);
  static Json read_file(const std::string& path);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  // These throw std::runtime_error when the value is of another kind.
  bool boolean() const;
  double number() const;
  const std::string& text() const;
  const std::vector<Json>& items() const;
  const std::map<std::string, Json>& members() const;
  // A member; a null value when there is none.
  const Json& operator[](const std::string& key) const;
  std::vector<int> integers() const;
  std::vector<float> floats() const;

 private:
  friend class JsonParser;
  Kind kind_ = Kind::kNull;
  bool bool_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Json> items_;
  std::map<std::string, Json> members_;
};

}  // namespace moebius::test
