// The GGUF container: header, metadata, tensor table. Everything in a file is treated as
// hostile: each count, length and offset is checked against the bytes that are there before
// it is used. A GgufFile keeps its mapping; tensors and values point into it.
// Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "formats/gguf_metadata.h"
#include "tensor/tensor.h"

namespace moebius {

struct GgufTensor {
  std::string name;
  int n_dims = 0;
  int64_t dims[4] = {1, 1, 1, 1};  // first = contiguous
  QuantFormat format = QuantFormat::kF32;
  uint64_t offset = 0;   // absolute, in the file of its part
  uint64_t n_bytes = 0;
  int part = 0;          // index of the file in a split set

  int64_t n_elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  // "[2048, 64, 8]"
  std::string shape_text() const;
};

struct GgufHeader {
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t header_bytes = 0;  // end of the tensor table
  uint64_t data_offset = 0;   // header_bytes rounded up to the alignment
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  // in the file's order
};

inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMaxNameBytes = 63;
inline constexpr uint64_t kGgufMaxKeyBytes = 65535;
inline constexpr uint64_t kGgufMaxLength = uint64_t{1} << 30;  // of strings and arrays
inline constexpr int64_t kGgufMaxKeys = 1 << 16;
inline constexpr int64_t kGgufMaxTensors = 1 << 20;

// Parses a header. `bytes` is the whole file or its beginning, file_bytes the size of the
// whole file; tensor data is not touched. `name` begins every message. Throws Error(kGguf)
// with the byte offset, or Error(kUnsupported) for tensor types that are not supported.
GgufHeader parse_gguf(std::span<const uint8_t> bytes, uint64_t file_bytes, const std::string& name);

class GgufFile {
 public:
  // Throws Error(kIo) when the file cannot be mapped, else as parse_gguf.
  explicit GgufFile(const std::string& path);

  const std::string& path() const { return file_->path(); }
  uint64_t file_bytes() const { return file_->size(); }
  const MappedFile& mapping() const { return *file_; }
  const GgufHeader& header() const { return header_; }
  GgufHeader& header() { return header_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  GgufHeader header_;
};

}  // namespace moebius
