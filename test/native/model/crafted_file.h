// Copies a golden model file with some keys and tensors changed, dropped or added: the
// quickest way to a file that is wrong in exactly one place.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/gguf_model_file.h"
#include "formats/gguf_writer.h"
#include "model/load_weights.h"
#include "native/golden.h"
#include "native/test.h"

namespace moebius::test {

class CraftedFile {
 public:
  explicit CraftedFile(const std::string& golden)
      : source_(find_golden_folder("models/" + golden + ".gguf") + "/" + golden + ".gguf"),
        path_((std::filesystem::temp_directory_path() / ("moebius-crafted-" + golden + ".gguf")).string()) {}
  ~CraftedFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  CraftedFile(const CraftedFile&) = delete;
  CraftedFile& operator=(const CraftedFile&) = delete;

  const GgufModelFile& source() const { return source_; }
  void drop_key(const std::string& key) { dropped_keys_.insert(key); }
  void set_integer(const std::string& key, int64_t value) {
    drop_key(key);
    added_.push_back([=](GgufWriter& writer) { writer.add_integer(key, value); });
  }
  void set_text(const std::string& key, const std::string& value) {
    drop_key(key);
    added_.push_back([=](GgufWriter& writer) { writer.add_text(key, value); });
  }
  void set_number(const std::string& key, float value) {
    drop_key(key);
    added_.push_back([=](GgufWriter& writer) { writer.add_f32(key, value); });
  }
  void set_flag(const std::string& key, bool value) {
    drop_key(key);
    added_.push_back([=](GgufWriter& writer) { writer.add_bool(key, value); });
  }
  void drop_tensor(const std::string& name) { dropped_tensors_.insert(name); }
  void rename_tensor(const std::string& name, const std::string& to) { renamed_[name] = to; }
  void set_tensor(const std::string& name, std::vector<int64_t> dims, std::vector<float> values) {
    drop_tensor(name);
    tensors_.push_back({name, std::move(dims), std::move(values)});
  }
  std::vector<float> values(const std::string& name) const {
    const GgufTensor* tensor = source_.find_tensor(name);
    const float* data = reinterpret_cast<const float*>(source_.data(*tensor));
    return {data, data + tensor->n_elements()};
  }

  // Writes the file and returns its path.
  std::string write() const {
    GgufWriter writer;
    for (const GgufEntry& entry : source_.metadata().entries())
      if (dropped_keys_.count(entry.key) == 0) writer.add_value(entry.key, entry.value);
    for (const auto& add : added_) add(writer);
    for (const GgufTensor& tensor : source_.tensors()) {
      if (dropped_tensors_.count(tensor.name) != 0) continue;
      const auto renamed = renamed_.find(tensor.name);
      writer.add_tensor(renamed == renamed_.end() ? tensor.name : renamed->second, tensor.format,
                        {tensor.dims, tensor.dims + tensor.n_dims}, source_.data(tensor));
    }
    for (const NewTensor& tensor : tensors_)
      writer.add_tensor(tensor.name, QuantFormat::kF32, tensor.dims, tensor.values.data());
    writer.write(path_);
    return path_;
  }

 private:
  struct NewTensor {
    std::string name;
    std::vector<int64_t> dims;
    std::vector<float> values;
  };
  GgufModelFile source_;
  std::string path_;
  std::set<std::string> dropped_keys_, dropped_tensors_;
  std::map<std::string, std::string> renamed_;
  std::vector<std::function<void(GgufWriter&)>> added_;
  std::vector<NewTensor> tensors_;
};

// A loaded decoder with the file it points into.
struct LoadedDecoder {
  std::unique_ptr<GgufModelFile> file;
  DecoderModel model;
  DerivationLog log;
  std::vector<std::string> ignored;
};

inline LoadedDecoder load_file(const std::string& path, bool headers_only = false) {
  LoadedDecoder loaded;
  loaded.file = std::make_unique<GgufModelFile>(path);
  ConfigReader reader(*loaded.file);
  loaded.model = load_decoder(*loaded.file, reader, headers_only, loaded.ignored);
  loaded.log = reader.log();
  return loaded;
}

inline std::string origin_of(const DerivationLog& log, const std::string& name) {
  std::string origin;
  for (const DerivationNote& note : log.notes)
    if (note.name == name) origin = note.origin;
  return origin;
}

inline bool warns_of(const DerivationLog& log, const std::string& text) {
  for (const std::string& warning : log.warnings)
    if (warning.find(text) != std::string::npos) return true;
  return false;
}

}  // namespace moebius::test
