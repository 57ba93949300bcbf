// A model on disk: one GGUF file, or a split set "PREFIX-00001-of-00003.gguf" opened as one.
// Keeps all mappings; metadata is that of the first part, with the user's overrides applied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/gguf.h"

namespace moebius {

class GgufModelFile {
 public:
  // path may name any part of a set. Throws Error(kShardMissing) naming a part that is not
  // there, Error(kGguf) when parts do not belong together, else as GgufFile.
  explicit GgufModelFile(const std::string& path, const std::vector<GgufOverride>& overrides = {});

  const GgufMetadata& metadata() const { return parts_.front().header().metadata; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  // null when there is none.
  const GgufTensor* find_tensor(std::string_view name) const;
  // First byte of the tensor in its mapping.
  const uint8_t* data(const GgufTensor& tensor) const;

  const std::vector<GgufFile>& parts() const { return parts_; }
  const std::string& path() const { return parts_.front().path(); }  // of the first part
  uint64_t file_bytes() const;

 private:
  std::vector<GgufFile> parts_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// The name of part `number` (from 1) in the set that `path` belongs to.
struct GgufSplitName {
  std::string prefix;  // folder included
  int number = 0;
  int count = 0;
};
// False when path has no split name.
bool parse_split_name(const std::string& path, GgufSplitName& name);
std::string split_part_path(const std::string& prefix, int number, int count);

// A tensor as a Matrix: 2-D [n_in, n_out], or 3-D [n_in, n_out, n_matrices] as a stack.
// 1-D tensors are a single row. Throws Error(kUnsupported) for integer tables.
Matrix gguf_matrix(const GgufModelFile& file, const GgufTensor& tensor);

}  // namespace moebius
