// Reader of golden data (test/fixtures/README.md): NAME.json describes the arrays in
// NAME.bin. Arrays point into the loaded bytes and live as long as the Golden.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "native/json.h"

namespace moebius::test {

struct GoldenArray {
  std::string dtype;  // "f32", "i32" or "u8"
  std::vector<int64_t> shape;
  const uint8_t* bytes = nullptr;
  size_t n_bytes = 0;

  int64_t n_elements() const;
  std::span<const float> f32() const;
  std::span<const int32_t> i32() const;
  std::span<const uint8_t> u8() const;
};

struct GreedyRun {
  std::string prompt;  // name of a sequence
  std::vector<int32_t> tokens;
  std::vector<float> gaps;  // distance of the two largest logits at each step
};

class Golden {
 public:
  // folder/name.json and the .bin it names. Throws std::runtime_error when unreadable.
  Golden(const std::string& folder, const std::string& name);

  bool has(const std::string& array) const { return arrays_.count(array) != 0; }
  // Throws std::runtime_error naming the array when there is none.
  const GoldenArray& array(const std::string& name) const;
  std::vector<std::string> array_names() const;

  const std::map<std::string, std::vector<int32_t>>& sequences() const { return sequences_; }
  const GreedyRun& greedy() const { return greedy_; }
  // The whole document: config, routing, notes, seed, tensor_types, ...
  const Json& json() const { return json_; }
  std::string gguf_path() const;

 private:
  std::string folder_;
  Json json_;
  std::vector<uint64_t> storage_;  // 8-byte aligned bytes of the .bin
  std::map<std::string, GoldenArray> arrays_;
  std::map<std::string, std::vector<int32_t>> sequences_;
  GreedyRun greedy_;
};

// The folder that holds `file` ("models/qwen3moe.gguf"): test/fixtures, else
// $MOEBIUS_GOLDENS, else shared/fixtures beside the checkout; "" when in none.
std::string find_golden_folder(const std::string& file);

}  // namespace moebius::test
