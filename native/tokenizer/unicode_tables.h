// Tables written by test/tools/make-unicode-tables.py. Their .cc names the Unicode version.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moebius {

struct CodePointRange {
  uint32_t first;
  uint32_t last;
};

// Runs of one CharClass: first code point << 4 | class, ascending, up to the next run.
extern const uint32_t kClassRuns[];
extern const size_t kClassRunsCount;
// Script=Han.
extern const CodePointRange kHanRanges[];
extern const size_t kHanRangesCount;
// The letters named one by one in DeepSeek-LLM's pre-tokeniser.
extern const CodePointRange kDeepseekLetters[];
extern const size_t kDeepseekLettersCount;

}  // namespace moebius
