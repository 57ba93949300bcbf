#include "quant/quant_format.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/error.h"
#include "quant/iq_blocks.h"
#include "quant/k_blocks.h"
#include "quant/small_blocks.h"
#include "quant/ternary_blocks.h"

namespace moebius {

namespace {

void dequantize_row_f32(const void* src, float* dst, int64_t n) {
  std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
}

void dequantize_row_f16(const void* src, float* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = f16_to_f32(static_cast<const uint16_t*>(src)[i]);
}

void dequantize_row_bf16(const void* src, float* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = bf16_to_f32(static_cast<const uint16_t*>(src)[i]);
}

void quantize_row_f32(const float* src, void* dst, int64_t n) {
  std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
}

void quantize_row_f16(const float* src, void* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<uint16_t*>(dst)[i] = f32_to_f16(src[i]);
}

void quantize_row_bf16(const float* src, void* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<uint16_t*>(dst)[i] = f32_to_bf16(src[i]);
}

using enum QuantFormat;

constexpr QuantFormatInfo kFormats[] = {
    {kF32, "F32", 1, 4, dequantize_row_f32, quantize_row_f32},
    {kF16, "F16", 1, 2, dequantize_row_f16, quantize_row_f16},
    {kQ4_0, "Q4_0", 32, 18, dequantize_row_q4_0, quantize_row_q4_0},
    {kQ4_1, "Q4_1", 32, 20, dequantize_row_q4_1, quantize_row_q4_1},
    {kQ5_0, "Q5_0", 32, 22, dequantize_row_q5_0, quantize_row_q5_0},
    {kQ5_1, "Q5_1", 32, 24, dequantize_row_q5_1, quantize_row_q5_1},
    {kQ8_0, "Q8_0", 32, 34, dequantize_row_q8_0, quantize_row_q8_0},
    {kQ2_K, "Q2_K", 256, 84, dequantize_row_q2_k, quantize_row_q2_k},
    {kQ3_K, "Q3_K", 256, 110, dequantize_row_q3_k, quantize_row_q3_k},
    {kQ4_K, "Q4_K", 256, 144, dequantize_row_q4_k, quantize_row_q4_k},
    {kQ5_K, "Q5_K", 256, 176, dequantize_row_q5_k, quantize_row_q5_k},
    {kQ6_K, "Q6_K", 256, 210, dequantize_row_q6_k, quantize_row_q6_k},
    {kIQ2_XXS, "IQ2_XXS", 256, 66, dequantize_row_iq2_xxs, quantize_row_iq2_xxs},
    {kIQ2_XS, "IQ2_XS", 256, 74, dequantize_row_iq2_xs, quantize_row_iq2_xs},
    {kIQ3_XXS, "IQ3_XXS", 256, 98, dequantize_row_iq3_xxs, quantize_row_iq3_xxs},
    {kIQ1_S, "IQ1_S", 256, 50, dequantize_row_iq1_s, quantize_row_iq1_s},
    {kIQ4_NL, "IQ4_NL", 32, 18, dequantize_row_iq4_nl, quantize_row_iq4_nl},
    {kIQ3_S, "IQ3_S", 256, 110, dequantize_row_iq3_s, quantize_row_iq3_s},
    {kIQ2_S, "IQ2_S", 256, 82, dequantize_row_iq2_s, quantize_row_iq2_s},
    {kIQ4_XS, "IQ4_XS", 256, 136, dequantize_row_iq4_xs, quantize_row_iq4_xs},
    {kI8, "I8", 1, 1, nullptr, nullptr},
    {kI16, "I16", 1, 2, nullptr, nullptr},
    {kI32, "I32", 1, 4, nullptr, nullptr},
    {kI64, "I64", 1, 8, nullptr, nullptr},
    {kF64, "F64", 1, 8, nullptr, nullptr},
    {kIQ1_M, "IQ1_M", 256, 56, dequantize_row_iq1_m, quantize_row_iq1_m},
    {kBF16, "BF16", 1, 2, dequantize_row_bf16, quantize_row_bf16},
    {kTQ1_0, "TQ1_0", 256, 54, dequantize_row_tq1_0, quantize_row_tq1_0},
    {kTQ2_0, "TQ2_0", 256, 66, dequantize_row_tq2_0, quantize_row_tq2_0},
    {kMXFP4, "MXFP4", 32, 17, dequantize_row_mxfp4, quantize_row_mxfp4},
    {kNVFP4, "NVFP4", 64, 36, dequantize_row_nvfp4, quantize_row_nvfp4},
};

std::string reason_unsupported(uint32_t id) {
  switch (id) {
    case 4: return "Q4_2, a format removed from GGUF in 2023; get a Q4_0 or Q4_K file";
    case 5: return "Q4_3, a format removed from GGUF in 2023; get a Q4_1 or Q4_K file";
    case 9: return "Q8_1, a format of activations that is never stored";
    case 15: return "Q8_K, a format of activations that is never stored";
    case 31: return "Q4_0_4_4, a repacked format removed from GGUF; get a Q4_0 or IQ4_NL file";
    case 32: return "Q4_0_4_8, a repacked format removed from GGUF; get a Q4_0 or IQ4_NL file";
    case 33: return "Q4_0_8_8, a repacked format removed from GGUF; get a Q4_0 or IQ4_NL file";
    case 36: return "IQ4_NL_4_4, a repacked format removed from GGUF; get a Q4_0 or IQ4_NL file";
    case 37: return "IQ4_NL_4_8, a repacked format removed from GGUF; get a Q4_0 or IQ4_NL file";
    case 38: return "IQ4_NL_8_8, a repacked format removed from GGUF; get a Q4_0 or IQ4_NL file";
    case 41: return "Q1_0, which is not supported yet";
    case 42: return "Q2_0, which is not supported yet";
    default: break;
  }
  if ((id >= 133 && id <= 158) || (id >= 202 && id <= 399)) return "an ik_llama.cpp format, not supported yet";
  return "unknown; the file is damaged or newer than this program";
}

}  // namespace

const QuantFormatInfo& quant_format_info_by_id(uint32_t gguf_type_id) {
  const auto* found = std::lower_bound(
      std::begin(kFormats), std::end(kFormats), gguf_type_id,
      [](const QuantFormatInfo& info, uint32_t id) { return static_cast<uint32_t>(info.format) < id; });
  if (found == std::end(kFormats) || static_cast<uint32_t>(found->format) != gguf_type_id)
    throw Error(ErrorCode::kUnsupported,
                format_text("tensor type %u is %s", gguf_type_id, reason_unsupported(gguf_type_id).c_str()));
  return *found;
}

const QuantFormatInfo& quant_format_info(QuantFormat format) {
  return quant_format_info_by_id(static_cast<uint32_t>(format));
}

const QuantFormatInfo* find_quant_format(const std::string& name) {
  const auto same = [&](const QuantFormatInfo& info) {
    return std::equal(name.begin(), name.end(), info.name, info.name + std::strlen(info.name),
                      [](unsigned char a, unsigned char b) { return std::toupper(a) == std::toupper(b); });
  };
  const auto* found = std::find_if(std::begin(kFormats), std::end(kFormats), same);
  return found == std::end(kFormats) ? nullptr : found;
}

QuantFormat quant_format_for_row(QuantFormat wanted, int64_t n_in) {
  if (n_in % quant_format_info(wanted).block_elements == 0) return wanted;
  if (n_in % 32 != 0) return kF16;
  switch (wanted) {
    case kQ2_K: case kQ3_K: case kTQ1_0: case kTQ2_0: return kQ4_0;
    case kQ4_K: return kQ5_0;
    case kQ5_K: return kQ5_1;
    case kQ6_K: return kQ8_0;
    case kNVFP4: return kMXFP4;
    default: return kIQ4_NL;
  }
}

size_t quant_row_bytes(QuantFormat format, int64_t n) {
  const QuantFormatInfo& info = quant_format_info(format);
  if (n < 0 || n % info.block_elements != 0)
    throw Error(ErrorCode::kGguf,
                format_text("a row of %lld elements is no multiple of the %lld elements in a block of %s",
                            static_cast<long long>(n), static_cast<long long>(info.block_elements), info.name));
  return static_cast<size_t>(n / info.block_elements) * static_cast<size_t>(info.block_bytes);
}

int64_t find_invalid_block(QuantFormat format, const void* src, int64_t n) {
  const QuantFormatInfo& info = quant_format_info(format);
  if (info.dequantize_row == nullptr) return -1;
  float values[256];
  const auto* block = static_cast<const uint8_t*>(src);
  for (int64_t b = 0; b < n / info.block_elements; ++b, block += info.block_bytes) {
    if (format == kMXFP4 && block[0] == 255) return b;
    info.dequantize_row(block, values, info.block_elements);
    for (int64_t i = 0; i < info.block_elements; ++i)
      if (!std::isfinite(values[i])) return b;
  }
  return -1;
}

const QuantFormatInfo* quant_formats_begin() { return std::begin(kFormats); }
const QuantFormatInfo* quant_formats_end() { return std::end(kFormats); }

}  // namespace moebius
