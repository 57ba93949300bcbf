// Runs every case, or those whose name contains the first argument; ends with one line of counts.
#include <cstdio>
#include <exception>

#include "native/test.h"

namespace moebius::test {

namespace {
int failures_in_case = 0;
bool case_skipped = false;
}  // namespace

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

void fail(const char* file, int line, const std::string& text) {
  if (++failures_in_case <= 10) std::printf("  %s:%d: %s\n", file, line, text.c_str());
}

void skip(const std::string& reason) {
  case_skipped = true;
  std::printf("  skipped: %s\n", reason.c_str());
}

static int run_all(const std::string& filter) {
  int passed = 0, failed = 0, skipped = 0;
  for (const Case& test_case : cases()) {
    if (std::string(test_case.name).find(filter) == std::string::npos) continue;
    failures_in_case = 0;
    case_skipped = false;
    try {
      test_case.body();
    } catch (const std::exception& error) {
      fail(test_case.name, 0, std::string("threw: ") + error.what());
    }
    if (failures_in_case > 0) {
      std::printf("FAILED %s (%d checks)\n", test_case.name, failures_in_case);
      ++failed;
    } else if (case_skipped) {
      ++skipped;
    } else {
      ++passed;
    }
  }
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed == 0 && passed + skipped > 0 ? 0 : 1;
}

}  // namespace moebius::test

int main(int argc, char** argv) { return moebius::test::run_all(argc > 1 ? argv[1] : ""); }
