#include "native/golden.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace moebius::test {

namespace {

template <typename T>
std::span<const T> view(const GoldenArray& array, const char* dtype) {
  if (array.dtype != dtype) throw std::runtime_error("golden array is " + array.dtype + ", not " + dtype);
  return {reinterpret_cast<const T*>(array.bytes), array.n_bytes / sizeof(T)};
}

size_t size_of(const Json& value) { return static_cast<size_t>(value.number()); }

}  // namespace

int64_t GoldenArray::n_elements() const {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}
std::span<const float> GoldenArray::f32() const { return view<float>(*this, "f32"); }
std::span<const int32_t> GoldenArray::i32() const { return view<int32_t>(*this, "i32"); }
std::span<const uint8_t> GoldenArray::u8() const { return view<uint8_t>(*this, "u8"); }

Golden::Golden(const std::string& folder, const std::string& name)
    : folder_(folder), json_(Json::read_file(folder + "/" + name + ".json")) {
  const std::string bin = folder + "/" + json_["bin"].text();
  std::ifstream file(bin, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + bin);
  const size_t n_bytes = std::filesystem::file_size(bin);
  storage_.resize(n_bytes / 8 + 1);
  file.read(reinterpret_cast<char*>(storage_.data()), static_cast<std::streamsize>(n_bytes));
  for (const Json& entry : json_["arrays"].items()) {
    GoldenArray array;
    array.dtype = entry["dtype"].text();
    for (const int size : entry["shape"].integers()) array.shape.push_back(size);
    array.bytes = reinterpret_cast<const uint8_t*>(storage_.data()) + size_of(entry["offset"]);
    array.n_bytes = size_of(entry["nbytes"]);
    if (size_of(entry["offset"]) + array.n_bytes > n_bytes) throw std::runtime_error(bin + " is too short");
    arrays_[entry["name"].text()] = array;
  }
  if (!json_["sequences"].is_null())
    for (const auto& [key, value] : json_["sequences"].members()) sequences_[key] = value.integers();
  if (const Json& greedy = json_["greedy"]; !greedy.is_null())
    greedy_ = {greedy["prompt"].text(), greedy["tokens"].integers(), greedy["gaps"].floats()};
}

const GoldenArray& Golden::array(const std::string& name) const {
  const auto found = arrays_.find(name);
  if (found == arrays_.end()) throw std::runtime_error("no golden array " + name);
  return found->second;
}

std::vector<std::string> Golden::array_names() const {
  std::vector<std::string> names;
  for (const auto& [name, array] : arrays_) names.push_back(name);
  return names;
}

std::string Golden::gguf_path() const { return folder_ + "/" + json_["gguf"].text(); }

std::string find_golden_folder(const std::string& file) {
  const std::filesystem::path fixtures = MOEBIUS_FIXTURES;
  const char* const extra = std::getenv("MOEBIUS_GOLDENS");
  for (const std::filesystem::path& folder :
       {fixtures, std::filesystem::path(extra ? extra : ""),
        (fixtures / "../../../shared/fixtures").lexically_normal()}) {
    if (!folder.empty() && std::filesystem::exists(folder / file)) return (folder / file).parent_path().string();
  }
  return "";
}

}  // namespace moebius::test
