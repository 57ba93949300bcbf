#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/direct_file.h"
#include "base/error.h"
#include "base/file_path.h"
#include "base/io_threads.h"
#include "base/mapped_file.h"
#include "base/page_buffer.h"
#include "base/utf8.h"
#include "kernels/scratch.h"
#include "native/test.h"

using namespace moebius;

TEST(page_buffer_is_zeroed_and_aligned) {
  PageBuffer buffer(1 << 20);
  CHECK_EQ(buffer.size(), size_t{1} << 20);
  CHECK_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 4096, uintptr_t{0});
  uint8_t any = 0;
  for (size_t i = 0; i < buffer.size(); ++i) any |= buffer.as<uint8_t>()[i];
  CHECK_EQ(int{any}, 0);
  // One that may lie in large pages.
  PageBuffer large((size_t{9} << 20) + 5);
  CHECK_EQ(reinterpret_cast<uintptr_t>(large.data()) % 4096, uintptr_t{0});
  for (size_t i = 0; i < large.size(); ++i) any |= large.as<uint8_t>()[i];
  CHECK_EQ(int{any}, 0);
}

TEST(page_buffer_moves) {
  PageBuffer first(5000);
  first.as<char>()[4999] = 'x';
  void* const data = first.data();
  PageBuffer second(std::move(first));
  CHECK(first.data() == nullptr && first.size() == 0);
  CHECK(second.data() == data && second.as<char>()[4999] == 'x');
  PageBuffer third(10);
  third = std::move(second);
  CHECK(third.data() == data && second.data() == nullptr);
  CHECK(PageBuffer(0).data() == nullptr);
}

TEST(page_buffer_names_the_size_refused) {
  CHECK_THROWS(Error, "4611686018427387904 bytes", PageBuffer(size_t{1} << 62));
  CHECK_THROWS(Error, "refused", PageBuffer(SIZE_MAX));
}

TEST(mapped_file_shows_the_bytes) {
  const std::string path = std::string(MOEBIUS_FIXTURES) + "/quants/dequant.bin";
  std::ifstream stream(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  MappedFile file(path);
  CHECK_EQ(file.size(), bytes.size());
  CHECK_EQ(std::memcmp(file.data(), bytes.data(), bytes.size()), 0);
  CHECK_EQ(file.path(), path);
  file.prefetch(0, file.size());
  file.prefetch(123, SIZE_MAX);
  file.prefetch(file.size(), 1);
  file.prefer_large_pages(123, SIZE_MAX);
  file.populate(0, file.size());
  file.populate(4097, SIZE_MAX);
  file.populate(file.size(), 1);
  CHECK_EQ(std::memcmp(file.data(), bytes.data(), bytes.size()), 0);
}

TEST(long_paths_in_any_script_are_mapped) {
  const std::string temporary = [] {
    const std::u8string text = std::filesystem::temp_directory_path().u8string();
    return std::string(text.begin(), text.end());
  }();
  // Some 360 characters: more than Windows takes without its prefix.
  std::vector<std::string> folders = {temporary + "/moebius 模型 é"};
  for (char level : {'a', 'b', 'c'}) folders.push_back(folders.back() + "/" + std::string(110, level));
  for (const std::string& folder : folders) std::filesystem::create_directory(file_path(folder));
  const std::string path = folders.back() + "/файл.bin";
  std::ofstream(file_path(path), std::ios::binary) << "bytes";
  {
    const MappedFile file(path);
    CHECK_EQ(std::string(reinterpret_cast<const char*>(file.data()), file.size()), std::string("bytes"));
    CHECK_EQ(file.path(), path);
  }
  std::filesystem::remove(file_path(path));
  for (; !folders.empty(); folders.pop_back()) std::filesystem::remove(file_path(folders.back()));
  CHECK_THROWS(Error, "файл.bin", MappedFile gone(path));
}

TEST(mapped_file_reports_what_the_system_said) {
  CHECK_THROWS(Error, "no-such-file.gguf", MappedFile(std::string(MOEBIUS_FIXTURES) + "/no-such-file.gguf"));
  CHECK_THROWS(Error, "could not read", MappedFile(MOEBIUS_FIXTURES));
}

TEST(scratch_hands_out_aligned_memory_that_stays) {
  Scratch scratch;
  float* const first = scratch.take<float>(3);
  first[2] = 7;
  const Scratch::Mark mark = scratch.mark();
  char* const large = scratch.take<char>(5 << 20);
  large[(5 << 20) - 1] = 'x';
  CHECK(scratch.take<char>(0) != nullptr);
  CHECK_EQ(reinterpret_cast<uintptr_t>(large) % 64, uintptr_t{0});
  CHECK_EQ(first[2], 7.0f);
  scratch.release(mark);
  float* const again = scratch.take<float>(1);
  CHECK_EQ(reinterpret_cast<char*>(again) - reinterpret_cast<char*>(first), ptrdiff_t{64});
  const size_t reserved = scratch.bytes_reserved();
  scratch.reset();
  CHECK_EQ(scratch.bytes_reserved(), reserved);
  char* const whole = scratch.take<char>(static_cast<int64_t>(reserved));
  whole[reserved - 1] = 'y';
  CHECK_EQ(scratch.bytes_reserved(), reserved);
}

TEST(scratch_keeps_what_it_reserved) {
  Scratch scratch;
  scratch.take<char>(1000);
  scratch.reserve(8 << 20);
  const size_t reserved = scratch.bytes_reserved();
  for (int i = 0; i < 8; ++i) scratch.take<char>(1 << 20)[0] = 1;
  CHECK_EQ(scratch.bytes_reserved(), reserved);
  CHECK_THROWS(Error, "", scratch.take<float>(-1));
}

TEST(utf8_finds_the_first_bad_byte) {
  CHECK(is_valid_utf8("plain, \xC3\xA9, \xE2\x82\xAC, \xF0\x9F\x8C\x80"));
  CHECK(is_valid_utf8(""));
  for (const std::string bad : {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8",
                                "\xE2\x82", "\xC3", "\xFF"}) {
    CHECK_EQ(utf8_error_offset("ab" + bad), size_t{2});
  }
  CHECK_EQ(printable_text("a\n\xFF z"), "a\\x0a\\xff z");
  CHECK_EQ(printable_text("abcdef", 3), "abc...");
}

TEST(error_codes_have_names) {
  CHECK_EQ(std::string(error_code_name(ErrorCode::kGguf)), "E_GGUF");
  CHECK_EQ(format_text("%d of %s", 3, std::string(500, 'x').c_str()), "3 of " + std::string(500, 'x'));
}

TEST(cpu_has_a_name) { CHECK(!cpu_brand().empty()); }

TEST(direct_file_reads_into_pieces_and_stops_at_the_end) {
  const std::string path = (std::filesystem::temp_directory_path() / "moebius-direct-file.bin").string();
  std::string bytes(3 * 4096 + 100, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 4096);
  std::ofstream(path, std::ios::binary) << bytes;
  {
    const DirectFile file(path);
    CHECK_EQ(file.size(), uint64_t{bytes.size()});
    PageBuffer memory(8 * 4096);
    uint8_t* const to = memory.as<uint8_t>();
    ReadSegment apart[] = {{to + 4 * 4096, 4096}, {to, 2 * 4096}};
    ReadResult result = file.read(4096, apart, 2 * 4096 + 100);
    CHECK(result.system_error == 0 && result.bytes >= 2 * 4096 + 100);
    CHECK_EQ(std::memcmp(to + 4 * 4096, bytes.data() + 4096, 4096), 0);
    CHECK_EQ(std::memcmp(to, bytes.data() + 2 * 4096, 4096 + 100), 0);
    ReadSegment beyond[] = {{to, 4096}};
    result = file.read(3 * 4096, beyond, 4096);
    CHECK(result.system_error == 0 && result.bytes == 100);
    ReadSegment behind[] = {{to, 4096}};
    CHECK_EQ(file.read(5 * 4096, behind, 1).bytes, uint64_t{0});
  }
  std::filesystem::remove(path);
  CHECK_THROWS(Error, "moebius-direct-file.bin", DirectFile{path});
}

TEST(io_threads_finish_what_they_were_given) {
  std::atomic<int> done{0};
  {
    IoThreads threads(4);
    for (int round = 0; round < 50; ++round) {
      std::vector<std::function<void()>> jobs;
      for (int i = 0; i < 20; ++i) jobs.push_back([&done] { done.fetch_add(1); });
      threads.submit(std::move(jobs));
    }
  }
  CHECK_EQ(done.load(), 1000);
}
