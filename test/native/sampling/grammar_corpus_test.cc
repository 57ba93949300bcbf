// Replays test/fixtures/fuzz/grammar_fuzz: inputs found by fuzzing that reach different code.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sampling/grammar_fuzz.cc"
#include "native/test.h"

TEST(grammar_inputs_found_by_fuzzing_hold) {
  int n_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(MOEBIUS_FIXTURES "/fuzz/grammar_fuzz")) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    CHECK_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), 0);
    ++n_files;
  }
  CHECK(n_files > 50);
}
