// Every decoder against the golden blocks, bit for bit.
#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "native/golden.h"
#include "native/test.h"
#include "quant/codebooks.h"
#include "quant/quant_format.h"

using namespace moebius;
using test::Golden;
using test::GoldenArray;

static void check_set(const Golden& golden, const std::string& type, const std::string& set) {
  const std::string name = type + "." + set;
  const GoldenArray& blocks = golden.array(name + ".bytes");
  const auto expected = golden.array(name + ".values").f32();
  const QuantFormatInfo* info = find_quant_format(type);
  CHECK(info != nullptr && info->dequantize_row != nullptr);
  if (info == nullptr || info->dequantize_row == nullptr) return;
  const int64_t n = static_cast<int64_t>(expected.size());
  CHECK_EQ(quant_row_bytes(info->format, n), blocks.n_bytes);
  std::vector<float> values(expected.size(), 1e30f);
  info->dequantize_row(blocks.bytes, values.data(), n);
  size_t wrong = 0;
  for (size_t i = 0; i < values.size(); ++i)
    wrong += std::bit_cast<uint32_t>(values[i]) != std::bit_cast<uint32_t>(expected[i]);
  if (wrong != 0) test::fail(name.c_str(), 0, std::to_string(wrong) + " values differ");
}

TEST(every_decoder_matches_the_golden_bits) {
  const Golden golden(std::string(MOEBIUS_FIXTURES) + "/quants", "dequant");
  std::set<std::string> types;
  for (const test::Json& entry : golden.json()["types"].items()) {
    const std::string type = entry["type"].text();
    types.insert(type);
    check_set(golden, type, entry["set"].text());
    const QuantFormatInfo& info = quant_format_info_by_id(static_cast<uint32_t>(entry["ggml_type"].number()));
    CHECK_EQ(std::string(info.name), type);
    CHECK_EQ(info.block_elements, static_cast<int64_t>(entry["block_elements"].number()));
    CHECK_EQ(info.block_bytes, static_cast<int64_t>(entry["block_bytes"].number()));
  }
  CHECK_EQ(types.size(), size_t{25});
  // F32 and the 25 are all weight formats there are.
  for (const QuantFormatInfo* info = quant_formats_begin(); info != quant_formats_end(); ++info)
    if (info->dequantize_row != nullptr) CHECK(info->format == QuantFormat::kF32 || types.count(info->name) == 1);
}

TEST(table_is_in_id_order) {
  for (const QuantFormatInfo* info = quant_formats_begin(); info != quant_formats_end(); ++info) {
    if (info != quant_formats_begin()) CHECK(info[-1].format < info->format);
    CHECK(&quant_format_info(info->format) == info);
    CHECK(find_quant_format(info->name) == info);
  }
  CHECK(find_quant_format("q4_k") == &quant_format_info(QuantFormat::kQ4_K));
  CHECK(find_quant_format("Q4") == nullptr);
}

TEST(ids_that_are_no_weights_are_named) {
  CHECK_THROWS(Error, "tensor type 4 is Q4_2, a format removed", quant_format_info_by_id(4));
  CHECK_THROWS(Error, "Q4_3", quant_format_info_by_id(5));
  CHECK_THROWS(Error, "Q8_1, a format of activations", quant_format_info_by_id(9));
  CHECK_THROWS(Error, "Q8_K, a format of activations", quant_format_info_by_id(15));
  for (const uint32_t id : {31u, 32u, 33u, 36u, 37u, 38u})
    CHECK_THROWS(Error, "repacked format removed from GGUF; get a Q4_0 or IQ4_NL file", quant_format_info_by_id(id));
  for (const uint32_t id : {133u, 158u, 202u, 399u})
    CHECK_THROWS(Error, "ik_llama.cpp format, not supported yet", quant_format_info_by_id(id));
  for (const uint32_t id : {41u, 42u}) CHECK_THROWS(Error, "not supported yet", quant_format_info_by_id(id));
  for (const uint32_t id : {43u, 132u, 159u, 400u, 0xffffffffu})
    CHECK_THROWS(Error, "unknown", quant_format_info_by_id(id));
}

TEST(row_bytes_need_whole_blocks) {
  CHECK_EQ(quant_row_bytes(QuantFormat::kQ4_K, 512), size_t{288});
  CHECK_EQ(quant_row_bytes(QuantFormat::kQ8_0, 0), size_t{0});
  CHECK_EQ(quant_row_bytes(QuantFormat::kBF16, 7), size_t{14});
  CHECK_THROWS(Error, "a row of 128 elements is no multiple of the 256 elements in a block of Q6_K",
               quant_row_bytes(QuantFormat::kQ6_K, 128));
  CHECK_THROWS(Error, "-32", quant_row_bytes(QuantFormat::kQ8_0, -32));
}

TEST(rows_that_do_not_fit_fall_back) {
  using enum QuantFormat;
  CHECK(quant_format_for_row(kQ4_K, 256) == kQ4_K);
  CHECK(quant_format_for_row(kQ4_K, 128) == kQ5_0);
  CHECK(quant_format_for_row(kQ5_K, 128) == kQ5_1);
  CHECK(quant_format_for_row(kQ6_K, 128) == kQ8_0);
  CHECK(quant_format_for_row(kQ2_K, 32) == kQ4_0);
  CHECK(quant_format_for_row(kIQ3_XXS, 32) == kIQ4_NL);
  CHECK(quant_format_for_row(kIQ4_XS, 1408) == kIQ4_NL);
  CHECK(quant_format_for_row(kQ6_K, 100) == kF16);
  CHECK(quant_format_for_row(kQ8_0, 33) == kF16);
}

TEST(sign_codes_have_even_parity) {
  for (uint32_t code = 0; code < 128; ++code) {
    const uint8_t signs = iq_sign_byte(code);
    CHECK_EQ(signs & 127u, code);
    CHECK_EQ(std::popcount(signs) % 2, 0);
  }
}

TEST(blocks_that_are_not_numbers_are_found) {
  std::vector<uint8_t> mxfp4(17 * 3, 0x11);
  CHECK_EQ(find_invalid_block(QuantFormat::kMXFP4, mxfp4.data(), 96), int64_t{-1});
  mxfp4[34] = 255;
  CHECK_EQ(find_invalid_block(QuantFormat::kMXFP4, mxfp4.data(), 96), int64_t{2});
  std::vector<uint16_t> q8_0(17 * 2, 0x1111);
  CHECK_EQ(find_invalid_block(QuantFormat::kQ8_0, q8_0.data(), 64), int64_t{-1});
  q8_0[17] = 0x7c01;
  CHECK_EQ(find_invalid_block(QuantFormat::kQ8_0, q8_0.data(), 64), int64_t{1});
  const float numbers[3] = {1, 2, INFINITY};
  CHECK_EQ(find_invalid_block(QuantFormat::kF32, numbers, 3), int64_t{2});
  CHECK_EQ(find_invalid_block(QuantFormat::kI32, numbers, 3), int64_t{-1});
}
