// One table of facts about every quant_format: name, block geometry, decoder. The decoder
// is the plain scalar one written from the format's definition; it is the oracle of every
// faster path and is never optimised.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace moebius {

struct QuantFormatInfo {
  QuantFormat format;
  const char* name;         // "Q4_K"
  int64_t block_elements;   // 256
  int64_t block_bytes;      // 144
  // Decodes n elements (a multiple of block_elements) from src. Bit-identical to the
  // format's reference decoder. null for integer table types that are never weights.
  void (*dequantize_row)(const void* src, float* dst, int64_t n);
  // Encodes n elements (a multiple of block_elements). Plain scalar search, no
  // importance matrix. null for integer table types.
  void (*quantize_row)(const float* src, void* dst, int64_t n);
};

// Throws Error(kUnsupported) for ids that are not a weight format, with the reason by
// name: removed formats, activation formats, formats of other engines.
const QuantFormatInfo& quant_format_info(QuantFormat format);
const QuantFormatInfo& quant_format_info_by_id(uint32_t gguf_type_id);

// The format called `name` (as in the table, any case), or null.
const QuantFormatInfo* find_quant_format(const std::string& name);

// What a quantiser uses for rows of n_in elements in place of `wanted` when the block does
// not fit: a 32-element format, else F16.
QuantFormat quant_format_for_row(QuantFormat wanted, int64_t n_in);

// Bytes of a row of n elements; throws Error(kGguf) when n is no multiple of the block.
size_t quant_row_bytes(QuantFormat format, int64_t n);

// Index of the first block of src (n elements) that decodes to NaN or infinity or has the
// scale code the MX standard calls NaN; -1 when all are sound. Reads every block.
int64_t find_invalid_block(QuantFormat format, const void* src, int64_t n);

// All formats in id order, for tests and tables.
const QuantFormatInfo* quant_formats_begin();
const QuantFormatInfo* quant_formats_end();

// IEEE half and bfloat16 conversions, round to nearest even, subnormals and NaN kept.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);

}  // namespace moebius
