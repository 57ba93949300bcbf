#include "formats/gguf.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/gguf_cursor.h"
#include "quant/quant_format.h"

namespace moebius {

namespace {

constexpr uint64_t kMaxBytes = std::numeric_limits<int64_t>::max();

unsigned long long wide(uint64_t value) { return value; }

// a * b, or false when the product exceeds kMaxBytes.
bool multiply(uint64_t& a, uint64_t b) {
  if (b != 0 && a > kMaxBytes / b) return false;
  a *= b;
  return true;
}

// What a file that is no GGUF looks like, for the hint.
std::string hint_for_magic(std::string_view start) {
  if (start.starts_with("vers")) return "This is a Git LFS pointer: the real file was not downloaded.";
  if (start.starts_with("<")) return "This is a web page: the download link asked for a login or has moved.";
  if (start.starts_with("PK")) return "This is a zip archive or a PyTorch checkpoint: convert it to GGUF.";
  if (start == "ggml" || start == "fmgg" || start == "tjgg" || start == "algg")
    return "This is a format from before GGUF: get a GGUF file.";
  return "Choose a file in GGUF format.";
}

struct Counts {
  int64_t n_tensors = 0;
  int64_t n_keys = 0;
};

int64_t read_count(GgufCursor& cursor, const char* what, int64_t limit, uint64_t least_bytes) {
  const uint64_t at = cursor.offset();
  const int64_t count = cursor.read<int64_t>(format_text("the number of %s", what));
  const uint64_t room = cursor.remaining() / least_bytes;
  if (count < 0 || count > limit)
    cursor.fail(at, format_text("%lld %s: expected 0 to %lld", static_cast<long long>(count), what,
                                static_cast<long long>(limit)));
  if (static_cast<uint64_t>(count) > room)
    cursor.fail(at, format_text("the header announces %lld %s, but only %llu bytes follow", static_cast<long long>(count),
                                what, wide(cursor.remaining())),
                "The file is incomplete; fetch it again.");
  return count;
}

Counts read_preamble(GgufCursor& cursor, GgufHeader& header) {
  if (cursor.remaining() < 4)
    cursor.fail(0, format_text("the file has %llu bytes: too few for GGUF", wide(cursor.remaining())),
                "The file is incomplete; fetch it again.");
  const std::string_view magic(reinterpret_cast<const char*>(cursor.here()), 4);
  cursor.skip(4, "the magic");
  if (magic != "GGUF")
    cursor.fail(0, "expected the letters GGUF, found \"" + printable_text(magic) + "\"", hint_for_magic(magic));
  header.version = cursor.read<uint32_t>("the version");
  if ((header.version & 0xffff) == 0)
    cursor.fail(4, "the file has the other byte order (big-endian)", "Get the little-endian file of this model.");
  if (header.version == 1)
    cursor.fail(4, "GGUF version 1 (of August 2023) is not supported: expected 2 or 3", "Get a newer file.");
  if (header.version > 3)
    cursor.fail(4, format_text("GGUF version %u is not known: expected 2 or 3", header.version),
                "The file is damaged or newer than this program.");
  constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 4 + 8, kLeastEntryBytes = 8 + 1 + 4 + 1;
  Counts counts;
  counts.n_tensors = read_count(cursor, "tensors", kGgufMaxTensors, kLeastTensorBytes);
  counts.n_keys = read_count(cursor, "keys", kGgufMaxKeys, kLeastEntryBytes);
  return counts;
}

GgufType read_type(GgufCursor& cursor, const std::string& key) {
  const uint64_t at = cursor.offset();
  const uint32_t type = cursor.read<uint32_t>("the type of key " + key);
  if (type > static_cast<uint32_t>(GgufType::kF64))
    cursor.fail(at, format_text("key %s has type %u: expected 0 to 12", key.c_str(), type));
  return static_cast<GgufType>(type);
}

// Moves over `count` elements, so that later readers need no checks.
void skip_elements(GgufCursor& cursor, GgufType type, uint64_t count, const std::string& what) {
  if (const size_t size = gguf_type_bytes(type); size != 0) {
    cursor.skip(count * size, what);
    return;
  }
  if (count > cursor.remaining() / 8)
    cursor.fail(cursor.offset(), format_text("%s: %llu strings cannot fit into the %llu bytes left", what.c_str(),
                                             wide(count), wide(cursor.remaining())));
  for (uint64_t i = 0; i < count; ++i) cursor.read_text(kGgufMaxLength, what);
}

GgufValue read_value(GgufCursor& cursor, const std::string& key) {
  GgufValue value;
  value.type = read_type(cursor, key);
  if (value.type == GgufType::kArray) {
    const uint64_t at = cursor.offset();
    value.is_array = true;
    value.type = read_type(cursor, key);
    if (value.type == GgufType::kArray)
      cursor.fail(at, "key " + key + " is an array of arrays, which GGUF does not allow");
    const uint64_t count_at = cursor.offset();
    value.count = cursor.read<uint64_t>("the length of key " + key);
    if (value.count > kGgufMaxLength)
      cursor.fail(count_at, format_text("key %s has %llu entries, at most %llu are allowed", key.c_str(),
                                        wide(value.count), wide(kGgufMaxLength)));
  }
  value.offset = cursor.offset();
  value.data = cursor.here();
  skip_elements(cursor, value.type, value.count, "the value of key " + key);
  value.n_bytes = cursor.offset() - value.offset;
  return value;
}

void check_name(const GgufCursor& cursor, uint64_t at, std::string_view name, const char* what) {
  if (name.empty()) cursor.fail(at, std::string(what) + " is empty");
  if (!is_valid_utf8(name))
    cursor.fail(at, std::string(what) + " \"" + printable_text(name) + "\" is not valid UTF-8");
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(name.begin(), name.end(), is_control))
    cursor.fail(at, std::string(what) + " \"" + printable_text(name) + "\" contains control characters");
}

void read_metadata(GgufCursor& cursor, int64_t n_keys, GgufMetadata& metadata) {
  for (int64_t i = 0; i < n_keys; ++i) {
    const uint64_t at = cursor.offset();
    const std::string_view key = cursor.read_text(kGgufMaxKeyBytes, format_text("the name of key %lld of %lld",
                                                  static_cast<long long>(i + 1), static_cast<long long>(n_keys)));
    check_name(cursor, at, key, "the name of a key");
    if (!metadata.add(std::string(key), read_value(cursor, printable_text(key))))
      cursor.fail(at, "the key " + printable_text(key) + " occurs twice");
  }
}

uint64_t read_alignment(const GgufCursor& cursor, const GgufMetadata& metadata) {
  const GgufValue* value = metadata.find("general.alignment");
  if (value == nullptr) return kGgufDefaultAlignment;
  if (value->type != GgufType::kU32 || value->is_array)
    cursor.fail(value->offset, "general.alignment is of type " + value->kind() + ": expected u32");
  const uint64_t alignment = static_cast<uint64_t>(*value->integer());
  if (alignment == 0 || (alignment & (alignment - 1)) != 0)
    cursor.fail(value->offset, format_text("general.alignment is %llu: expected a power of two", wide(alignment)));
  return alignment;
}

// Sets format and n_bytes from the type id and the dimensions.
void measure_tensor(const GgufCursor& cursor, uint64_t at, uint32_t type_id, GgufTensor& tensor) {
  const std::string shown = "tensor " + tensor.name;
  try {
    tensor.format = quant_format_info_by_id(type_id).format;
  } catch (const Error& error) {
    throw Error(error.code(), cursor.message(at, shown + ": " + error.what()), error.hint());
  }
  const QuantFormatInfo& info = quant_format_info(tensor.format);
  if (tensor.dims[0] % info.block_elements != 0)
    cursor.fail(at, format_text("%s has rows of %lld elements: %s needs a multiple of %lld", shown.c_str(),
                                static_cast<long long>(tensor.dims[0]), info.name,
                                static_cast<long long>(info.block_elements)));
  uint64_t n_elements = 1, n_bytes = static_cast<uint64_t>(info.block_bytes);
  bool fits = multiply(n_bytes, static_cast<uint64_t>(tensor.dims[0] / info.block_elements));
  for (int i = 0; i < 4; ++i) {
    fits = fits && multiply(n_elements, static_cast<uint64_t>(tensor.dims[i]));
    if (i > 0) fits = fits && multiply(n_bytes, static_cast<uint64_t>(tensor.dims[i]));
  }
  if (!fits) cursor.fail(at, shown + " " + tensor.shape_text() + " is too large: its size overflows");
  tensor.n_bytes = n_bytes;
}

// The offset stays relative to the data section, whose start is not known yet.
GgufTensor read_tensor(GgufCursor& cursor, int64_t number, uint64_t alignment) {
  const uint64_t at = cursor.offset();
  GgufTensor tensor;
  tensor.name = cursor.read_text(kGgufMaxNameBytes, format_text("the name of tensor %lld", static_cast<long long>(number)));
  check_name(cursor, at, tensor.name, "the name of a tensor");
  const std::string shown = "tensor " + tensor.name;
  const uint32_t n_dims = cursor.read<uint32_t>("the dimensions of " + shown);
  if (n_dims > 4) cursor.fail(at, format_text("%s has %u dimensions, at most 4 are allowed", shown.c_str(), n_dims));
  tensor.n_dims = static_cast<int>(n_dims);
  for (uint32_t i = 0; i < n_dims; ++i) {
    tensor.dims[i] = cursor.read<int64_t>("the dimensions of " + shown);
    if (tensor.dims[i] < 0)
      cursor.fail(at, format_text("%s has a negative dimension %lld", shown.c_str(), static_cast<long long>(tensor.dims[i])));
  }
  measure_tensor(cursor, at, cursor.read<uint32_t>("the type of " + shown), tensor);
  tensor.offset = cursor.read<uint64_t>("the offset of " + shown);
  if (tensor.offset % alignment != 0)
    cursor.fail(at, format_text("%s has offset %llu, which is no multiple of the alignment %llu", shown.c_str(),
                                wide(tensor.offset), wide(alignment)));
  return tensor;
}

void read_tensors(GgufCursor& cursor, int64_t n_tensors, GgufHeader& header) {
  std::unordered_set<std::string> names;
  for (int64_t i = 0; i < n_tensors; ++i) {
    const uint64_t at = cursor.offset();
    GgufTensor tensor = read_tensor(cursor, i + 1, header.alignment);
    if (!names.insert(tensor.name).second) cursor.fail(at, "the tensor " + tensor.name + " occurs twice");
    header.tensors.push_back(std::move(tensor));
  }
}

// Makes offsets absolute and checks that every tensor lies inside the file.
void place_tensors(const GgufCursor& cursor, GgufHeader& header) {
  constexpr uint64_t kKernelAlignment = 4;  // f32 tables are read in place
  for (GgufTensor& tensor : header.tensors) {
    if (tensor.offset > kMaxBytes - header.data_offset)
      cursor.fail(header.data_offset, format_text("tensor %s has offset %llu, which overflows", tensor.name.c_str(),
                                                  wide(tensor.offset)));
    tensor.offset += header.data_offset;
    if (tensor.offset > cursor.file_bytes())
      cursor.fail(cursor.file_bytes(), format_text("the file ends %llu bytes before tensor %s",
                                                   wide(tensor.offset - cursor.file_bytes()), tensor.name.c_str()),
                  "The file is incomplete; fetch it again.");
    if (const uint64_t room = cursor.file_bytes() - tensor.offset; tensor.n_bytes > room)
      cursor.fail(cursor.file_bytes(), format_text("the file ends %llu bytes before the end of tensor %s",
                                                   wide(tensor.n_bytes - room), tensor.name.c_str()),
                  "The file is incomplete; fetch it again.");
    if (tensor.offset % kKernelAlignment != 0)
      cursor.fail(tensor.offset, "tensor " + tensor.name + " does not begin at a multiple of 4 bytes");
  }
}

void check_overlaps(const GgufCursor& cursor, const std::vector<GgufTensor>& tensors) {
  std::vector<const GgufTensor*> order;
  for (const GgufTensor& tensor : tensors)
    if (tensor.n_bytes > 0) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const uint64_t end = order[i - 1]->offset + order[i - 1]->n_bytes;
    if (order[i]->offset < end)
      cursor.fail(order[i]->offset, format_text("tensor %s overlaps the last %llu bytes of tensor %s",
                                                order[i]->name.c_str(), wide(end - order[i]->offset),
                                                order[i - 1]->name.c_str()));
  }
}

std::string file_name(const std::string& path) {
  const size_t slash = path.find_last_of("/\\");
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string GgufTensor::shape_text() const {
  std::string text = "[";
  for (int i = 0; i < n_dims; ++i) text += (i > 0 ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

GgufHeader parse_gguf(std::span<const uint8_t> bytes, uint64_t file_bytes, const std::string& name) {
  GgufCursor cursor(bytes, std::max<uint64_t>(file_bytes, bytes.size()), name);
  GgufHeader header;
  const Counts counts = read_preamble(cursor, header);
  read_metadata(cursor, counts.n_keys, header.metadata);
  header.alignment = read_alignment(cursor, header.metadata);
  read_tensors(cursor, counts.n_tensors, header);
  header.header_bytes = cursor.offset();
  header.data_offset = (header.header_bytes + header.alignment - 1) / header.alignment * header.alignment;
  place_tensors(cursor, header);
  check_overlaps(cursor, header.tensors);
  return header;
}

GgufFile::GgufFile(const std::string& path) : file_(std::make_shared<MappedFile>(path)) {
  header_ = parse_gguf({file_->data(), file_->size()}, file_->size(), file_name(path));
}

}  // namespace moebius
