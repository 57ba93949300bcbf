// Reads the tokenizer keys of a GGUF file, for tests only: independent of formats/, trusting
// its input. Also finds and reads golden files.
#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace moebius::test {

class KeyReader {
 public:
  explicit KeyReader(const std::string& bytes) : bytes_(bytes) {}

  Vocabulary read() {
    at_ = 4 + 4 + 8;
    const int64_t n_keys = take<int64_t>();
    for (int64_t i = 0; i < n_keys; ++i) {
      const std::string key = take_string();
      take_value(key, take<uint32_t>());
    }
    return std::move(vocabulary_);
  }

 private:
  template <typename T>
  T take() {
    T value;
    if (at_ + sizeof(T) > bytes_.size()) throw std::runtime_error("file ends inside its keys");
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string take_string() {
    const uint64_t length = take<uint64_t>();
    std::string text = bytes_.substr(at_, length);
    at_ += length;
    return text;
  }

  static size_t type_size(uint32_t type) {
    constexpr size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return sizes[type];
  }

  void take_value(const std::string& key, uint32_t type) {
    const std::string name = key.rfind("tokenizer.ggml.", 0) == 0 ? key.substr(15) : "";
    if (type == 9) return take_array(name);
    if (type == 8) {
      const std::string text = take_string();
      if (name == "model") vocabulary_.model = text;
      if (name == "pre") vocabulary_.pre = text;
      return;
    }
    int64_t number = 0;
    std::memcpy(&number, bytes_.data() + at_, type_size(type));
    at_ += type_size(type);
    set_number(name, static_cast<int32_t>(number));
  }

  void set_number(const std::string& name, int32_t value) {
    const std::pair<const char*, int32_t*> fields[] = {
        {"bos_token_id", &vocabulary_.bos_id},     {"eos_token_id", &vocabulary_.eos_id},
        {"eot_token_id", &vocabulary_.eot_id},     {"eom_token_id", &vocabulary_.eom_id},
        {"unknown_token_id", &vocabulary_.unk_id}, {"padding_token_id", &vocabulary_.pad_id},
        {"add_bos_token", &vocabulary_.add_bos},   {"add_eos_token", &vocabulary_.add_eos},
        {"add_space_prefix", &vocabulary_.add_space_prefix}};
    for (const auto& [field, target] : fields)
      if (name == field) *target = value;
  }

  void take_array(const std::string& name) {
    const uint32_t type = take<uint32_t>();
    const uint64_t count = take<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) {
      if (type == 8) {
        const std::string text = take_string();
        if (name == "tokens") vocabulary_.tokens.push_back(text);
        if (name == "merges") vocabulary_.merges.push_back(text);
      } else if (name == "scores") {
        vocabulary_.scores.push_back(take<float>());
      } else if (name == "token_type") {
        vocabulary_.token_types.push_back(take<int32_t>());
      } else {
        at_ += type_size(type);
      }
    }
  }

  const std::string& bytes_;
  size_t at_ = 0;
  Vocabulary vocabulary_;
};


// Throws std::runtime_error when the file cannot be read.
inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline Vocabulary read_vocabulary(const std::string& path) { return KeyReader(read_file(path)).read(); }

// The path of a golden file: under test/fixtures, else in the full set of goldens, else "".
inline std::string find_golden(const std::string& relative) {
  const char* goldens = std::getenv("MOEBIUS_GOLDENS");
  for (const std::string& root : {std::string(MOEBIUS_FIXTURES), std::string(goldens ? goldens : ""),
                                  std::string(MOEBIUS_FIXTURES "/../../../shared/fixtures")}) {
    const std::string path = root + "/" + relative;
    if (!root.empty() && std::filesystem::exists(path)) return path;
  }
  return "";
}

}  // namespace moebius::test
