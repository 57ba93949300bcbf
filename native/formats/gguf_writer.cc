#include "formats/gguf_writer.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <type_traits>

#include "base/error.h"
#include "base/file_path.h"
#include "formats/gguf.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

template <typename T>
void append(std::vector<uint8_t>& bytes, T value) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

void append_text(std::vector<uint8_t>& bytes, std::string_view text) {
  append(bytes, static_cast<uint64_t>(text.size()));
  bytes.insert(bytes.end(), text.begin(), text.end());
}

// The low bytes of the value; throws when the type cannot hold it.
void append_integer(std::vector<uint8_t>& bytes, std::string_view key, int64_t value, GgufType type) {
  const size_t size = gguf_type_bytes(type);
  const size_t at = bytes.size();
  append(bytes, value);
  bytes.resize(at + size);
  GgufValue check;
  check.type = type;
  check.data = bytes.data() + at;
  check.n_bytes = size;
  if (size == 0 || check.integer() != value)
    throw Error(ErrorCode::kBadRequest, format_text("gguf writer: %s = %lld does not fit into %s",
                                                    std::string(key).c_str(), static_cast<long long>(value),
                                                    gguf_type_name(type)));
}

uint64_t padded(uint64_t n_bytes, uint64_t alignment) { return (n_bytes + alignment - 1) / alignment * alignment; }

}  // namespace

void GgufWriter::set_alignment(uint32_t alignment) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || n_keys_ > 0 || !tensors_.empty())
    throw Error(ErrorCode::kBadRequest, format_text("gguf writer: alignment %u is no power of two or comes too late", alignment));
  add_integer("general.alignment", alignment);
  alignment_ = alignment;
}

void GgufWriter::begin_value(std::string_view key, GgufType type) {
  append_text(metadata_, key);
  append(metadata_, static_cast<uint32_t>(type));
  ++n_keys_;
}

void GgufWriter::add_integer(std::string_view key, int64_t value, GgufType type) {
  begin_value(key, type);
  append_integer(metadata_, key, value, type);
}

void GgufWriter::add_f32(std::string_view key, float value) {
  begin_value(key, GgufType::kF32);
  append(metadata_, value);
}

void GgufWriter::add_bool(std::string_view key, bool value) {
  begin_value(key, GgufType::kBool);
  append(metadata_, static_cast<uint8_t>(value));
}

void GgufWriter::add_text(std::string_view key, std::string_view value) {
  begin_value(key, GgufType::kString);
  append_text(metadata_, value);
}

void GgufWriter::add_integers(std::string_view key, const std::vector<int64_t>& values, GgufType type) {
  begin_value(key, GgufType::kArray);
  append(metadata_, static_cast<uint32_t>(type));
  append(metadata_, static_cast<uint64_t>(values.size()));
  for (const int64_t value : values) append_integer(metadata_, key, value, type);
}

void GgufWriter::add_floats(std::string_view key, const std::vector<float>& values) {
  begin_value(key, GgufType::kArray);
  append(metadata_, static_cast<uint32_t>(GgufType::kF32));
  append(metadata_, static_cast<uint64_t>(values.size()));
  for (const float value : values) append(metadata_, value);
}

void GgufWriter::add_texts(std::string_view key, const std::vector<std::string>& values) {
  begin_value(key, GgufType::kArray);
  append(metadata_, static_cast<uint32_t>(GgufType::kString));
  append(metadata_, static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) append_text(metadata_, value);
}

void GgufWriter::add_value(std::string_view key, const GgufValue& value) {
  begin_value(key, value.is_array ? GgufType::kArray : value.type);
  if (value.is_array) {
    append(metadata_, static_cast<uint32_t>(value.type));
    append(metadata_, value.count);
  }
  metadata_.insert(metadata_.end(), value.data, value.data + value.n_bytes);
}

void GgufWriter::add_tensor(std::string_view name, QuantFormat format, const std::vector<int64_t>& dims,
                            const void* data) {
  add_tensor(name, format, dims, Source{});
  const uint64_t n_bytes = tensors_.back().n_bytes;
  tensors_.back().source = [data, n_bytes](const Sink& sink) { sink(data, n_bytes); };
}

void GgufWriter::add_tensor(std::string_view name, QuantFormat format, const std::vector<int64_t>& dims,
                            Source source) {
  if (name.empty() || name.size() > kGgufMaxNameBytes || dims.empty() || dims.size() > 4)
    throw Error(ErrorCode::kBadRequest, "gguf writer: tensor \"" + std::string(name) +
                                            "\" needs a name of 1 to 63 bytes and 1 to 4 dimensions");
  uint64_t n_bytes = quant_row_bytes(format, dims[0]);
  for (size_t i = 1; i < dims.size(); ++i) n_bytes *= static_cast<uint64_t>(dims[i]);
  tensors_.push_back({std::string(name), format, dims, n_bytes, std::move(source)});
}

std::vector<uint8_t> GgufWriter::header() const {
  std::vector<uint8_t> bytes = {'G', 'G', 'U', 'F'};
  append(bytes, uint32_t{3});
  append(bytes, static_cast<int64_t>(tensors_.size()));
  append(bytes, n_keys_);
  bytes.insert(bytes.end(), metadata_.begin(), metadata_.end());
  uint64_t offset = 0;
  for (const TensorEntry& tensor : tensors_) {
    append_text(bytes, tensor.name);
    append(bytes, static_cast<uint32_t>(tensor.dims.size()));
    for (const int64_t size : tensor.dims) append(bytes, size);
    append(bytes, static_cast<uint32_t>(tensor.format));
    append(bytes, offset);
    offset += padded(tensor.n_bytes, alignment_);
  }
  bytes.resize(padded(bytes.size(), alignment_));
  return bytes;
}

void GgufWriter::write_to(const Sink& sink) const {
  const std::vector<uint8_t> head = header();
  sink(head.data(), head.size());
  const std::vector<uint8_t> zeros(alignment_);
  for (const TensorEntry& tensor : tensors_) {
    uint64_t written = 0;
    tensor.source([&](const void* data, size_t n_bytes) {
      written += n_bytes;
      if (n_bytes > 0) sink(data, n_bytes);
    });
    if (written != tensor.n_bytes)
      throw Error(ErrorCode::kInternal, format_text("gguf writer: tensor %s got %llu bytes, expected %llu",
                                                    tensor.name.c_str(), static_cast<unsigned long long>(written),
                                                    static_cast<unsigned long long>(tensor.n_bytes)));
    const uint64_t padding = padded(written, alignment_) - written;
    if (padding > 0) sink(zeros.data(), padding);
  }
}

std::vector<uint8_t> GgufWriter::bytes() const {
  std::vector<uint8_t> all;
  write_to([&](const void* data, size_t n_bytes) {
    const auto* from = static_cast<const uint8_t*>(data);
    all.insert(all.end(), from, from + n_bytes);
  });
  return all;
}

void GgufWriter::write(const std::string& path) const {
  const std::filesystem::path target = file_path(path);
  std::filesystem::path partial = target;
  partial += ".partial";
  try {
    std::ofstream file(partial, std::ios::binary | std::ios::trunc);
    file.exceptions(std::ios::failbit | std::ios::badbit);
    write_to([&](const void* data, size_t n_bytes) {
      file.write(static_cast<const char*>(data), static_cast<std::streamsize>(n_bytes));
    });
    file.close();
    std::filesystem::rename(partial, target);
  } catch (const std::system_error& error) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw Error(ErrorCode::kIo, "could not write " + path + ": " + system_message(error.code()));
  }
}

}  // namespace moebius
