// Reading one model's metadata with a note of where every value came from. Keys are given
// without the architecture's prefix; names are the glossary's and appear in the model card.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/gguf_model_file.h"
#include "model/config.h"

namespace moebius {

class ConfigReader {
 public:
  // The file must outlive the reader. Throws Error(kGguf) without general.architecture.
  explicit ConfigReader(const GgufModelFile& file);

  const std::string& architecture() const { return architecture_; }
  const GgufModelFile& file() const { return file_; }
  DerivationLog& log() { return log_; }

  // Without notes; full keys. Throw Error(kGguf) when the value has another type.
  bool has(const std::string& full_key) const { return file_.metadata().has(full_key); }
  std::optional<int64_t> find_integer(const std::string& full_key) const;
  std::optional<double> find_number(const std::string& full_key) const;
  std::optional<bool> find_flag(const std::string& full_key) const;
  std::optional<std::string> find_text(const std::string& full_key) const;

  // Key below the architecture's prefix.
  std::string key(const std::string& suffix) const { return architecture_ + "." + suffix; }
  // Within [1, 2^31), or Error(kGguf).
  int64_t dimension(const std::string& suffix, const std::string& name);
  int64_t dimension_or(const std::string& suffix, const std::string& name, int64_t fallback);
  // Within [0, 2^31).
  int64_t count_or(const std::string& suffix, const std::string& name, int64_t fallback);
  double number_or(const std::string& suffix, const std::string& name, double fallback);
  double number(const std::string& suffix, const std::string& name);
  bool flag_or(const std::string& suffix, const std::string& name, bool fallback);
  // A scalar, or an array of at least n entries: both give n values.
  std::vector<int64_t> per_layer_or(const std::string& suffix, const std::string& name, int64_t n,
                                    int64_t fallback);
  // The one value all layers share; Error(kUnsupported) when they differ.
  int64_t uniform_dimension_or(const std::string& suffix, const std::string& name, int64_t n,
                               int64_t fallback);

  // Tensor table.
  bool has_tensor(const std::string& name) const { return file_.find_tensor(name) != nullptr; }
  // Dimension of a tensor that must exist; 1 beyond its rank.
  int64_t tensor_dimension(const std::string& name, size_t axis) const;
  // The elements of a small f32 tensor; Error(kGguf) unless it holds n of them.
  std::vector<float> tensor_values(const std::string& name, int64_t n) const;

  void note(const std::string& name, const std::string& value, const std::string& origin,
            const std::string& source = "");
  void note(const std::string& name, int64_t value, const std::string& origin,
            const std::string& source = "");
  void warn(const std::string& text) { log_.warnings.push_back(text); }

 private:
  std::string origin_of(const std::string& full_key) const;
  int64_t integer_or(const std::string& suffix, const std::string& name, int64_t least, int64_t fallback);

  const GgufModelFile& file_;
  std::string architecture_;
  DerivationLog log_;
};

}  // namespace moebius
