// libFuzzer over the GGUF header parser and everything that reads what it returns. Seeds:
// test/fixtures/gguf-corpus. Build with clang and -DMOEBIUS_FUZZ=ON -DMOEBIUS_SANITIZE=ON.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "quant/quant_format.h"

using namespace moebius;

namespace {

volatile uint64_t sink;

void read_value(const GgufMetadata& metadata, const GgufEntry& entry) {
  sink = sink + entry.value.display().size() + entry.value.texts().size();
  for (uint64_t i = 0; i < std::min<uint64_t>(entry.value.count, 64); ++i)
    sink = sink + (entry.value.integer(i) ? 1 : 0) + (entry.value.number(i) ? 1 : 0) + (entry.value.boolean(i) ? 1 : 0);
  try {
    sink = sink + metadata.per_layer(entry.key, 3)->size();
  } catch (const Error&) {
    // Of another kind than asked for.
  }
}

// The first and last block of each tensor.
void read_tensor(const GgufTensor& tensor, const uint8_t* data) {
  const QuantFormatInfo& info = quant_format_info(tensor.format);
  if (info.dequantize_row == nullptr || tensor.n_bytes == 0) return;
  std::vector<float> values(static_cast<size_t>(info.block_elements));
  std::vector<uint8_t> block(static_cast<size_t>(info.block_bytes));
  const uint64_t last = tensor.offset + tensor.n_bytes - block.size();
  for (const uint64_t at : {tensor.offset, last}) {
    std::copy_n(data + at, block.size(), block.begin());
    info.dequantize_row(block.data(), values.data(), info.block_elements);
  }
}

// What was accepted can be written, and reads as the same metadata.
void rewrite(const GgufHeader& header) {
  GgufWriter writer;
  for (const GgufEntry& entry : header.metadata.entries())
    if (entry.key != "general.alignment") writer.add_value(entry.key, entry.value);
  const std::vector<uint8_t> bytes = writer.bytes();
  parse_gguf(bytes, bytes.size(), "rewritten");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  GgufHeader header;
  try {
    header = parse_gguf({data, n_bytes}, n_bytes, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  for (const GgufEntry& entry : header.metadata.entries()) read_value(header.metadata, entry);
  for (const GgufTensor& tensor : header.tensors) read_tensor(tensor, data);
  rewrite(header);
  return 0;
}
