// Writes GGUF files (version 3): tests, generators, pruned and requantised models. Keys and
// tensors keep the order in which they were added; tensor data is written in that order too,
// each tensor padded to the alignment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_metadata.h"
#include "tensor/tensor.h"

namespace moebius {

class GgufWriter {
 public:
  // Receives a piece of tensor data.
  using Sink = std::function<void(const void* data, size_t n_bytes)>;
  // Passes the whole tensor to the sink, in pieces of any size.
  using Source = std::function<void(const Sink& sink)>;

  // Must come before everything else. A power of two; 32 when not called.
  void set_alignment(uint32_t alignment);

  // Scalars. `type` is any integer type that holds the value.
  void add_integer(std::string_view key, int64_t value, GgufType type = GgufType::kU32);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_text(std::string_view key, std::string_view value);
  // Arrays.
  void add_integers(std::string_view key, const std::vector<int64_t>& values, GgufType type = GgufType::kI32);
  void add_floats(std::string_view key, const std::vector<float>& values);
  void add_texts(std::string_view key, const std::vector<std::string>& values);
  // A value read from another file, as it is.
  void add_value(std::string_view key, const GgufValue& value);

  // dims: 1 to 4, first = contiguous. The size follows from format and dims; `data` is not
  // copied and must live until the file is written.
  void add_tensor(std::string_view name, QuantFormat format, const std::vector<int64_t>& dims, const void* data);
  void add_tensor(std::string_view name, QuantFormat format, const std::vector<int64_t>& dims, Source source);

  // Writes to path (UTF-8) by way of path + ".partial", so that a failure leaves no half
  // file under the name. Throws Error(kIo), or Error(kInternal) when a source passes the
  // wrong number of bytes.
  void write(const std::string& path) const;
  // The same bytes in memory, for small files.
  std::vector<uint8_t> bytes() const;
  void write_to(const Sink& sink) const;

 private:
  struct TensorEntry {
    std::string name;
    QuantFormat format;
    std::vector<int64_t> dims;
    uint64_t n_bytes;
    Source source;
  };

  void begin_value(std::string_view key, GgufType type);
  std::vector<uint8_t> header() const;

  uint32_t alignment_ = 32;
  int64_t n_keys_ = 0;
  std::vector<uint8_t> metadata_;
  std::vector<TensorEntry> tensors_;
};

}  // namespace moebius
