#include "engine/touch_weights.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/error.h"
#include "native/test.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

using namespace moebius;

namespace {

const std::string kDemo = std::string(MOEBIUS_RESOURCES) + "/models/moebius-demo-6m.gguf";

// A file of zeros that is gone after the test.
class ZeroFile {
 public:
  explicit ZeroFile(uint64_t bytes) : path_((std::filesystem::temp_directory_path() / unique_name()).string()) {
    std::ofstream(path_, std::ios::binary).put(0);
    resize(bytes);
  }
  ~ZeroFile() { std::filesystem::remove(path_); }
  void resize(uint64_t bytes) { std::filesystem::resize_file(path_, bytes); }
  const std::string& path() const { return path_; }

 private:
  static std::string unique_name() {
    static std::atomic<int> serial{0};
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    return "moebius-touch-" + std::to_string(now) + "-" + std::to_string(serial++);
  }
  std::string path_;
};

constexpr uint64_t kMiB = uint64_t{1} << 20;

}  // namespace

TEST(weights_of_the_demo_model_are_one_range) {
  const GgufModelFile file(kDemo);
  const auto all = weight_ranges(file, [](const GgufTensor&) { return true; });
  CHECK_EQ(all.size(), size_t{1});
  CHECK(all[0].begin >= file.parts()[0].header().header_bytes);
  CHECK_EQ(all[0].end, file.tensors().back().offset + file.tensors().back().n_bytes);
}

TEST(what_is_not_wanted_is_left_out) {
  const GgufModelFile file(kDemo);
  const auto is_expert = [](const GgufTensor& tensor) { return tensor.name.find("_exps") != std::string::npos; };
  uint64_t experts = 0, in_ranges = 0;
  for (const GgufTensor& tensor : file.tensors()) experts += is_expert(tensor) ? tensor.n_bytes : 0;
  const auto ranges = weight_ranges(file, is_expert);
  for (const TouchRange& each : ranges) in_ranges += each.end - each.begin;
  CHECK(ranges.size() > 1);
  CHECK(experts > 0 && in_ranges >= experts && in_ranges < experts + 4096 * 100);
  CHECK(weight_ranges(file, [](const GgufTensor&) { return false; }).empty());
}

TEST(touching_counts_up_to_the_total) {
  const ZeroFile file(50 * kMiB + 123);
  const MappedFile mapping(file.path());
  const std::vector<TouchRange> ranges = {{&mapping, 77, 20 * kMiB}, {&mapping, 30 * kMiB, mapping.size()}};
  const uint64_t expected = 20 * kMiB - 77 + 20 * kMiB + 123;
  uint64_t last = 0;
  const auto caller = std::this_thread::get_id();
  touch_weights(ranges, [&](uint64_t done, uint64_t total) {
    CHECK(std::this_thread::get_id() == caller);
    CHECK_EQ(total, expected);
    CHECK(done >= last && done <= total);
    last = done;
    return true;
  });
  CHECK_EQ(last, expected);
  touch_weights(ranges, {});
  touch_weights({}, [&](uint64_t done, uint64_t total) { return done == 0 && total == 0; });
}

TEST(touching_stops_when_the_caller_says_so) {
  const ZeroFile file(64 * kMiB);
  const MappedFile mapping(file.path());
  CHECK_THROWS(Error, "cancelled", touch_weights({{&mapping, 0, mapping.size()}}, [](uint64_t, uint64_t) { return false; }));
  CHECK_THROWS(Error, "cancelled", touch_weights({}, [](uint64_t, uint64_t) { return false; }));
  CHECK_THROWS(std::runtime_error, "told", touch_weights({{&mapping, 0, mapping.size()}}, [](uint64_t, uint64_t) -> bool {
                 throw std::runtime_error("told");
               }));
}

#if defined(__linux__)
TEST(a_file_that_shrank_is_an_error_not_a_crash) {
  ZeroFile file(16 * kMiB);
  const MappedFile mapping(file.path());
  if (madvise(const_cast<uint8_t*>(mapping.data()), 4096, /*MADV_POPULATE_READ*/ 22) != 0)
    return test::skip("MADV_POPULATE_READ needs Linux 5.14");
  file.resize(kMiB);
  try {
    touch_weights({{&mapping, 0, 16 * kMiB}}, {});
    CHECK(!"an error was expected");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kIo);
    CHECK(std::string(error.what()).find("could not read") != std::string::npos);
  }
}
#endif
