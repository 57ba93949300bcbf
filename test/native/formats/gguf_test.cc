// The GGUF container: what the writer writes is read back, what is broken is refused.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/gguf_model_file.h"
#include "formats/gguf_writer.h"
#include "native/golden.h"
#include "native/json.h"
#include "native/test.h"
#include "quant/quant_format.h"

using namespace moebius;

static const std::string kCorpus = std::string(MOEBIUS_FIXTURES) + "/gguf-corpus";

static GgufHeader parse(const std::vector<uint8_t>& bytes) { return parse_gguf(bytes, bytes.size(), "test"); }

static GgufWriter sample_writer(const std::vector<float>& values) {
  GgufWriter writer;
  writer.set_alignment(64);
  writer.add_text("general.architecture", "qwen3moe");
  writer.add_integer("a.u8", 200, GgufType::kU8);
  writer.add_integer("a.i8", -100, GgufType::kI8);
  writer.add_integer("a.u16", 60000, GgufType::kU16);
  writer.add_integer("a.i16", -30000, GgufType::kI16);
  writer.add_integer("a.u32", 4000000000, GgufType::kU32);
  writer.add_integer("a.i32", -2000000000, GgufType::kI32);
  writer.add_integer("a.u64", INT64_MAX, GgufType::kU64);
  writer.add_integer("a.i64", INT64_MIN, GgufType::kI64);
  writer.add_f32("a.f32", 0.5f);
  writer.add_bool("a.bool", true);
  writer.add_integers("a.list", {3, 1, 2}, GgufType::kU16);
  writer.add_floats("a.floats", {1.5f, -2.5f});
  writer.add_texts("a.texts", {"", "two", "\xE2\x82\xAC"});
  writer.add_tensor("first", QuantFormat::kF32, {3, 5}, values.data());
  writer.add_tensor("second", QuantFormat::kF16, {7}, values.data());
  writer.add_tensor("third", QuantFormat::kF32, {2, 2, 2}, [&values](const GgufWriter::Sink& sink) {
    sink(values.data(), 16);
    sink(values.data() + 4, 16);
  });
  return writer;
}

static std::vector<float> counting(size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i);
  return values;
}

TEST(writer_and_reader_agree) {
  const std::vector<float> values = counting(15);
  const std::vector<uint8_t> bytes = sample_writer(values).bytes();
  const GgufHeader header = parse(bytes);
  CHECK_EQ(header.version, 3u);
  CHECK_EQ(header.alignment, uint64_t{64});
  CHECK_EQ(header.data_offset % 64, uint64_t{0});
  const GgufMetadata& metadata = header.metadata;
  CHECK_EQ(metadata.entries().size(), size_t{15});
  CHECK_EQ(metadata.entries()[0].key, std::string("general.alignment"));
  CHECK(metadata.require_text("general.architecture") == "qwen3moe");
  CHECK_EQ(*metadata.integer("a.u8"), int64_t{200});
  CHECK_EQ(*metadata.integer("a.i8"), int64_t{-100});
  CHECK_EQ(*metadata.integer("a.u16"), int64_t{60000});
  CHECK_EQ(*metadata.integer("a.i16"), int64_t{-30000});
  CHECK_EQ(*metadata.integer("a.u32"), int64_t{4000000000});
  CHECK_EQ(*metadata.integer("a.i32"), int64_t{-2000000000});
  CHECK_EQ(*metadata.integer("a.u64"), INT64_MAX);
  CHECK_EQ(*metadata.integer("a.i64"), INT64_MIN);
  CHECK_EQ(*metadata.number("a.f32"), 0.5);
  CHECK_EQ(*metadata.number("a.u8"), 200.0);
  CHECK(*metadata.boolean("a.bool"));
  CHECK(*metadata.integers("a.list") == (std::vector<int64_t>{3, 1, 2}));
  CHECK(*metadata.numbers("a.floats") == (std::vector<float>{1.5f, -2.5f}));
  CHECK(*metadata.numbers("a.list") == (std::vector<float>{3, 1, 2}));
  CHECK(*metadata.texts("a.texts") == (std::vector<std::string_view>{"", "two", "\xE2\x82\xAC"}));
  CHECK_EQ(header.tensors.size(), size_t{3});
  CHECK_EQ(header.tensors[0].shape_text(), std::string("[3, 5]"));
  CHECK_EQ(header.tensors[1].n_bytes, uint64_t{14});
  CHECK_EQ(std::memcmp(bytes.data() + header.tensors[0].offset, values.data(), 60), 0);
  CHECK_EQ(std::memcmp(bytes.data() + header.tensors[2].offset, values.data(), 32), 0);
}

TEST(values_are_copied_as_they_are) {
  const std::vector<float> values = counting(15);
  const std::vector<uint8_t> bytes = sample_writer(values).bytes();
  const GgufHeader header = parse(bytes);
  GgufWriter copy;
  for (const GgufEntry& entry : header.metadata.entries())
    if (entry.key == "general.alignment") copy.set_alignment(static_cast<uint32_t>(header.alignment));
    else copy.add_value(entry.key, entry.value);
  for (const GgufTensor& tensor : header.tensors)
    copy.add_tensor(tensor.name, tensor.format, std::vector<int64_t>(tensor.dims, tensor.dims + tensor.n_dims),
                    bytes.data() + tensor.offset);
  CHECK(copy.bytes() == bytes);
}

TEST(a_header_is_enough_to_parse) {
  const std::vector<float> values = counting(15);
  const std::vector<uint8_t> bytes = sample_writer(values).bytes();
  const GgufHeader whole = parse(bytes);
  const std::vector<uint8_t> head(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(whole.header_bytes));
  const GgufHeader header = parse_gguf(head, bytes.size(), "test");
  CHECK_EQ(header.tensors.size(), whole.tensors.size());
  CHECK_EQ(header.tensors[2].offset, whole.tensors[2].offset);
  const std::span<const uint8_t> less(head.data(), head.size() - 1);
  CHECK_THROWS(Error, "the part of the file at hand has", parse_gguf(less, bytes.size(), "test"));
}

// Each prefix of a file is refused, and none is read past its end.
TEST(every_truncation_is_refused) {
  const std::vector<float> values = counting(15);
  const std::vector<uint8_t> bytes = sample_writer(values).bytes();
  const GgufHeader whole = parse(bytes);
  const uint64_t last = whole.tensors.back().offset + whole.tensors.back().n_bytes;
  for (uint64_t size = 0; size < bytes.size(); ++size) {
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    bool refused = false;
    try {
      parse(part);
    } catch (const Error& error) {
      refused = error.code() == ErrorCode::kGguf;
    }
    CHECK_EQ(refused, size < last);
  }
}

TEST(kinds_and_ranges_are_checked) {
  const std::vector<float> values = counting(15);
  const std::vector<uint8_t> bytes = sample_writer(values).bytes();
  const GgufHeader header = parse(bytes);
  const GgufMetadata& metadata = header.metadata;
  CHECK(!metadata.integer("absent") && !metadata.text("absent") && !metadata.integers("absent") &&
        !metadata.number("absent") && !metadata.boolean("absent") && !metadata.per_layer("absent", 3));
  CHECK_THROWS(Error, "key general.architecture: expected an integer, found string qwen3moe",
               metadata.integer("general.architecture"));
  CHECK_THROWS(Error, "key a.f32: expected an integer, found f32 0.5", metadata.integer("a.f32"));
  CHECK_THROWS(Error, "key a.list: expected an integer, found u16 array of 3 [3, 1, 2]", metadata.integer("a.list"));
  CHECK_THROWS(Error, "key a.u8: 200 is not between 1 and 100", metadata.integer("a.u8", 1, 100));
  CHECK_THROWS(Error, "expected a string, found u8 200", metadata.text("a.u8"));
  CHECK_THROWS(Error, "expected true or false", metadata.boolean("a.u8"));
  CHECK_THROWS(Error, "expected an array of integers", metadata.integers("a.floats"));
  CHECK_THROWS(Error, "expected an array of integers", metadata.integers("a.u8"));
  CHECK_THROWS(Error, "expected an array of numbers", metadata.numbers("a.texts"));
  CHECK_THROWS(Error, "expected an array of strings", metadata.texts("a.list"));
  CHECK_THROWS(Error, "key absent is missing", metadata.require_integer("absent", 0, 1));
  CHECK_THROWS(Error, "key absent is missing", metadata.require_text("absent"));
  CHECK_THROWS(Error, "key absent is missing", metadata.require_number("absent"));
  CHECK(*metadata.per_layer("a.list", 3) == (std::vector<int64_t>{3, 1, 2}));
  CHECK(*metadata.per_layer("a.u8", 3) == (std::vector<int64_t>{200, 200, 200}));
  CHECK_THROWS(Error, "key a.list: 3 entries for 4 layers", metadata.per_layer("a.list", 4));
  CHECK_EQ(metadata.find("a.texts")->display(), std::string("[\"\", \"two\", \"\xE2\x82\xAC\"]"));
}

TEST(u64_beyond_i64_is_no_integer) {
  const uint64_t wide = UINT64_MAX;
  GgufValue value;
  value.type = GgufType::kU64;
  value.data = reinterpret_cast<const uint8_t*>(&wide);
  value.n_bytes = 8;
  CHECK(!value.integer());
  CHECK_EQ(*value.number(), std::ldexp(1.0, 64));
}

TEST(overrides_replace_values) {
  const std::vector<float> values = counting(15);
  const std::vector<uint8_t> bytes = sample_writer(values).bytes();
  GgufHeader header = parse(bytes);
  GgufMetadata& metadata = header.metadata;
  metadata.apply({"a.u8", "7"});
  metadata.apply({"a.f32", "3"});
  metadata.apply({"a.bool", "false"});
  metadata.apply({"general.architecture", "123"});
  metadata.apply({"a.list", "[4, 5]"});
  metadata.apply({"new.integer", "-12"});
  metadata.apply({"new.float", "1e-5"});
  metadata.apply({"new.text", "linear"});
  metadata.apply({"new.forced", "str:12"});
  metadata.apply({"a.i8", "float:1.25"});
  metadata.apply({"new.empty", "[]"});
  CHECK_EQ(*metadata.integer("a.u8"), int64_t{7});
  CHECK(metadata.find("a.u8")->overridden && !metadata.find("a.u16")->overridden);
  CHECK_EQ(*metadata.number("a.f32"), 3.0);
  CHECK(!*metadata.boolean("a.bool"));
  CHECK(*metadata.text("general.architecture") == "123");
  CHECK(*metadata.integers("a.list") == (std::vector<int64_t>{4, 5}));
  CHECK_EQ(*metadata.integer("new.integer"), int64_t{-12});
  CHECK_EQ(*metadata.number("new.float"), 1e-5);
  CHECK(*metadata.text("new.text") == "linear");
  CHECK(*metadata.text("new.forced") == "12");
  CHECK_EQ(*metadata.number("a.i8"), 1.25);
  CHECK(metadata.integers("new.empty")->empty());
  CHECK_THROWS(Error, "a.u16=many cannot be read as u16", metadata.apply({"a.u16", "many"}));
  CHECK_THROWS(Error, "a.u16=int:1x cannot be read", metadata.apply({"a.u16", "int:1x"}));
  CHECK_THROWS(Error, "cannot be read", metadata.apply({"a.list", "[1, x]"}));
  CHECK_THROWS(Error, "cannot be read", metadata.apply({"a.f32", "1e999"}));
  CHECK_THROWS(Error, "describes the container", metadata.apply({"general.alignment", "64"}));
  CHECK_THROWS(Error, "describes the container", metadata.apply({"split.count", "1"}));
  CHECK_THROWS(Error, "no key=value", metadata.apply({"", "1"}));
}

TEST(writer_refuses_what_a_reader_would) {
  GgufWriter writer;
  CHECK_THROWS(Error, "k = 256 does not fit into u8", writer.add_integer("k", 256, GgufType::kU8));
  CHECK_THROWS(Error, "does not fit into u32", writer.add_integer("k", -1));
  CHECK_THROWS(Error, "needs a name", writer.add_tensor("", QuantFormat::kF32, {1}, nullptr));
  CHECK_THROWS(Error, "no multiple", writer.add_tensor("t", QuantFormat::kQ8_0, {31}, nullptr));
  CHECK_THROWS(Error, "comes too late", writer.set_alignment(64));
  GgufWriter short_source;
  short_source.add_tensor("t", QuantFormat::kF32, {4}, [](const GgufWriter::Sink& sink) { sink("abcd", 4); });
  CHECK_THROWS(Error, "tensor t got 4 bytes, expected 16", short_source.bytes());
}

TEST(writer_leaves_no_half_file) {
  const std::string path = (std::filesystem::temp_directory_path() / "moebius-writer-test.gguf").string();
  const std::vector<float> values = counting(15);
  sample_writer(values).write(path);
  {
    const GgufModelFile file(path);
    CHECK_EQ(file.tensors().size(), size_t{3});
    CHECK(file.find_tensor("third") != nullptr && file.find_tensor("fourth") == nullptr);
    const Matrix matrix = gguf_matrix(file, *file.find_tensor("third"));
    CHECK_EQ(matrix.n_matrices, int64_t{2});
    CHECK_EQ(matrix.matrix_stride, size_t{16});
    CHECK_EQ(reinterpret_cast<const float*>(matrix.slice(1).row(1))[0], 6.0f);
  }
  std::filesystem::remove(path);
  CHECK(!std::filesystem::exists(path + ".partial"));
  CHECK_THROWS(Error, "could not write", sample_writer(values).write("/no/such/folder/file.gguf"));
  // A name that is taken by a folder: found out when the file is there already.
  std::filesystem::create_directories(path + "/taken");
  CHECK_THROWS(Error, "could not write", sample_writer(values).write(path));
  CHECK(!std::filesystem::exists(path + ".partial"));
  std::filesystem::remove_all(path);
}

TEST(corpus_gives_the_messages_it_names) {
  const test::Json index = test::Json::read_file(kCorpus + "/index.json");
  size_t n_broken = 0;
  for (const test::Json& entry : index.items()) {
    const std::string file = entry["file"].text();
    const std::string expected = entry["error"].is_null() ? "" : entry["error"].text();
    std::string code = "opened", message;
    try {
      const GgufModelFile model(kCorpus + "/" + file);
    } catch (const Error& error) {
      code = error_code_name(error.code());
      message = error.what();
    }
    n_broken += entry["code"].is_null() ? 0 : 1;
    const std::string expected_code = entry["code"].is_null() ? "opened" : entry["code"].text();
    if (code != expected_code || message.find(expected) == std::string::npos)
      test::fail(file.c_str(), 0, code + " " + message + "; expected " + expected_code + " " + expected);
  }
  CHECK(n_broken >= 70);
}

TEST(any_part_opens_the_whole_set) {
  for (const char* part : {"/split-00001-of-00002.gguf", "/split-00002-of-00002.gguf"}) {
    const GgufModelFile model(kCorpus + part);
    CHECK_EQ(model.parts().size(), size_t{2});
    CHECK_EQ(model.path(), kCorpus + "/split-00001-of-00002.gguf");
    CHECK_EQ(model.tensors().size(), size_t{2});
    CHECK_EQ(model.find_tensor("b")->part, 1);
    CHECK_EQ(int{model.data(*model.find_tensor("b"))[0]}, 0x11);
    CHECK_EQ(model.file_bytes(), model.parts()[0].file_bytes() + model.parts()[1].file_bytes());
  }
}

TEST(split_names_are_strict) {
  GgufSplitName name;
  CHECK(parse_split_name("/a/b-00003-of-00012.gguf", name));
  CHECK_EQ(name.prefix, std::string("/a/b"));
  CHECK_EQ(name.number, 3);
  CHECK_EQ(name.count, 12);
  CHECK_EQ(split_part_path(name.prefix, 1, 12), std::string("/a/b-00001-of-00012.gguf"));
  for (const char* bad : {"b.gguf", "-00001-of-00002.gguf", "b-00000-of-00002.gguf", "b-00003-of-00002.gguf",
                          "b-0001-of-00002.gguf", "b-0000x-of-00002.gguf", "b-00001-of-00002.bin"})
    CHECK(!parse_split_name(bad, name));
}

TEST(fixture_models_open) {
  size_t n_opened = 0;
  for (const char* folder : {"/models", "/tokenizers"})
    for (const auto& entry : std::filesystem::directory_iterator(std::string(MOEBIUS_FIXTURES) + folder)) {
      if (entry.path().extension() != ".gguf") continue;
      const GgufModelFile model(entry.path().string());
      CHECK(!model.metadata().require_text("general.architecture").empty());
      CHECK(!model.metadata().texts("tokenizer.ggml.tokens")->empty());
      ++n_opened;
    }
  CHECK(n_opened >= 15);
  const GgufModelFile demo(std::string(MOEBIUS_RESOURCES) + "/models/moebius-demo-6m.gguf");
  CHECK(!demo.tensors().empty());
}

// Reads everything a parsed header offers; sanitizers see any step outside.
static uint64_t read_everything(const GgufHeader& header, const std::vector<uint8_t>& bytes) {
  uint64_t sum = 0;
  for (const GgufEntry& entry : header.metadata.entries()) {
    sum += entry.value.display().size() + entry.value.texts().size();
    for (uint64_t i = 0; i < std::min<uint64_t>(entry.value.count, 100); ++i)
      sum += static_cast<uint64_t>(entry.value.integer(i).value_or(0)) + (entry.value.number(i) ? 1 : 0);
  }
  for (const GgufTensor& tensor : header.tensors)
    if (tensor.n_bytes > 0) sum += bytes.at(tensor.offset) + bytes.at(tensor.offset + tensor.n_bytes - 1);
  return sum;
}

TEST(ten_thousand_mutations_never_crash) {
  const std::vector<float> values = counting(15);
  const std::vector<uint8_t> original = sample_writer(values).bytes();
  const uint64_t header_bytes = parse(original).header_bytes;
  std::mt19937_64 random(20260921);
  const auto below = [&](uint64_t n) { return random() % n; };
  constexpr uint8_t kExtremes[] = {0, 1, 0x7f, 0x80, 0xff};
  uint64_t n_accepted = 0, n_refused = 0, sum = 0;
  for (int round = 0; round < 10000; ++round) {
    std::vector<uint8_t> bytes = original;
    for (uint64_t i = 0; i < 1 + below(4); ++i) {
      const uint64_t at = below(header_bytes), kind = below(4);
      if (kind == 0) bytes[at] ^= static_cast<uint8_t>(1u << below(8));
      else if (kind == 1) bytes[at] = kExtremes[below(5)];
      else if (kind == 2) std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), std::min<uint64_t>(8, header_bytes - at), kExtremes[below(5)]);
      else bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(std::min(at + below(9), header_bytes)));
    }
    bytes.shrink_to_fit();
    try {
      sum += read_everything(parse(bytes), bytes);
      ++n_accepted;
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kGguf || error.code() == ErrorCode::kUnsupported);
      ++n_refused;
    }
  }
  CHECK(sum > 0 && n_accepted > 100 && n_refused > 1000);
}

TEST(inputs_found_by_fuzzing_never_crash) {
  size_t n_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus + "/fuzzed")) {
    const MappedFile file(entry.path().string());
    const std::vector<uint8_t> bytes(file.data(), file.data() + file.size());
    try {
      read_everything(parse(bytes), bytes);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kGguf || error.code() == ErrorCode::kUnsupported);
    }
    ++n_files;
  }
  CHECK(n_files > 0);
}
