#include "formats/gguf_model_file.h"

#include "base/error.h"
#include "base/utf8.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

std::string file_name(const std::string& path) {
  const size_t slash = path.find_last_of("/\\");
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

[[noreturn]] void fail(const GgufFile& part, const std::string& text) {
  throw Error(ErrorCode::kGguf, file_name(part.path()) + ": " + text);
}

int64_t split_count(const GgufFile& file) {
  return file.header().metadata.integer("split.count", 0, 65535).value_or(1);
}

GgufFile open_part(const std::string& prefix, int number, int count) {
  const std::string path = split_part_path(prefix, number, count);
  try {
    return GgufFile(path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    throw Error(ErrorCode::kShardMissing,
                format_text("part %d of %d is missing: %s (%s)", number, count, file_name(path).c_str(), error.what()),
                "Put all parts into one folder.");
  }
}

void check_part(const GgufFile& part, int64_t index, int64_t count) {
  const int64_t own_count = split_count(part);
  if (own_count != count)
    fail(part, format_text("split.count is %lld, expected %lld", static_cast<long long>(own_count),
                           static_cast<long long>(count)));
  const int64_t own_index = part.header().metadata.require_integer("split.no", 0, 65535);
  if (own_index != index)
    fail(part, format_text("split.no is %lld, expected %lld: the file has another part's name",
                           static_cast<long long>(own_index), static_cast<long long>(index)));
}

std::vector<GgufFile> open_parts(const std::string& path) {
  std::vector<GgufFile> parts;
  GgufFile picked(path);
  const int64_t count = split_count(picked);
  if (count <= 1) {
    parts.push_back(std::move(picked));
    return parts;
  }
  GgufSplitName name;
  if (!parse_split_name(path, name) || name.count != count)
    fail(picked, format_text("the file is one of %lld parts, so its name must end in -00001-of-%05lld.gguf",
                             static_cast<long long>(count), static_cast<long long>(count)));
  for (int number = 1; number <= name.count; ++number) {
    parts.push_back(number == name.number ? picked : open_part(name.prefix, number, name.count));
    check_part(parts.back(), number - 1, count);
  }
  return parts;
}

}  // namespace

bool parse_split_name(const std::string& path, GgufSplitName& name) {
  // "-ddddd-of-ddddd.gguf"
  constexpr size_t kTail = 20;
  if (path.size() <= kTail) return false;
  const std::string tail = path.substr(path.size() - kTail);
  if (tail[0] != '-' || tail.compare(6, 4, "-of-") != 0 || tail.compare(15, 5, ".gguf") != 0) return false;
  for (const size_t begin : {size_t{1}, size_t{10}})
    if (tail.substr(begin, 5).find_first_not_of("0123456789") != std::string::npos) return false;
  name.prefix = path.substr(0, path.size() - kTail);
  name.number = std::stoi(tail.substr(1, 5));
  name.count = std::stoi(tail.substr(10, 5));
  return name.number >= 1 && name.number <= name.count;
}

std::string split_part_path(const std::string& prefix, int number, int count) {
  return prefix + format_text("-%05d-of-%05d.gguf", number, count);
}

GgufModelFile::GgufModelFile(const std::string& path, const std::vector<GgufOverride>& overrides)
    : parts_(open_parts(path)) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    for (GgufTensor& tensor : parts_[i].header().tensors) {
      tensor.part = static_cast<int>(i);
      if (!index_.emplace(tensor.name, tensors_.size()).second)
        fail(parts_[i], "tensor " + tensor.name + " occurs in an earlier part, too");
      tensors_.push_back(tensor);
    }
  }
  const auto expected = metadata().integer("split.tensors.count", 0);
  if (parts_.size() > 1 && expected && *expected != static_cast<int64_t>(tensors_.size()))
    fail(parts_.front(), format_text("split.tensors.count is %lld, but the %zu parts hold %zu tensors",
                                     static_cast<long long>(*expected), parts_.size(), tensors_.size()));
  for (const GgufOverride& override_ : overrides) parts_.front().header().metadata.apply(override_);
}

const GgufTensor* GgufModelFile::find_tensor(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const uint8_t* GgufModelFile::data(const GgufTensor& tensor) const {
  return parts_[static_cast<size_t>(tensor.part)].mapping().data() + tensor.offset;
}

uint64_t GgufModelFile::file_bytes() const {
  uint64_t total = 0;
  for (const GgufFile& part : parts_) total += part.file_bytes();
  return total;
}

Matrix gguf_matrix(const GgufModelFile& file, const GgufTensor& tensor) {
  if (quant_format_info(tensor.format).dequantize_row == nullptr)
    throw Error(ErrorCode::kUnsupported, "tensor " + tensor.name + " holds " + quant_format_info(tensor.format).name +
                                             " numbers, expected weights");
  Matrix matrix;
  matrix.data = file.data(tensor);
  matrix.format = tensor.format;
  matrix.n_in = tensor.dims[0];
  matrix.n_out = tensor.dims[1];
  matrix.n_matrices = tensor.dims[2] * tensor.dims[3];
  matrix.row_bytes = quant_row_bytes(tensor.format, tensor.dims[0]);
  matrix.matrix_stride = matrix.row_bytes * static_cast<size_t>(matrix.n_out);
  return matrix;
}

}  // namespace moebius
