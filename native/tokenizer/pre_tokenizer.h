// Cutting text into the words that byte-level BPE merges inside of. A pre-tokeniser is a list
// of stages, each of which stands for one regular expression of the model's tokenizer.json:
// a stage cuts every piece left by the stage before into its matches and what lies between.
// Matchers are hand-written over UTF-8; an invalid byte counts as one symbol character.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moebius {

struct WordMatch {
  size_t begin;  // std::string_view::npos: no match from here on
  size_t end;
};

// The leftmost match of a stage in text[from, end of text).
using FindMatch = WordMatch (*)(std::string_view text, size_t from);

struct PreTokenizer {
  std::string_view name;           // as in `tokenizer.ggml.pre`
  std::span<const FindMatch> stages;
  bool ignore_merges = false;      // a word that is a token as a whole is not merged
  bool add_bos = false;            // default where the file has no add_bos_token
};

// nullptr for an unknown name. "" means "default".
const PreTokenizer* find_pre_tokenizer(std::string_view name);
// All names, sorted.
std::vector<std::string> pre_tokenizer_names();

// Calls sink(word) for each word of text, in order; together they are the text.
template <typename Sink>
void split_words(std::span<const FindMatch> stages, std::string_view text, const Sink& sink) {
  if (text.empty()) return;
  if (stages.empty()) {
    sink(text);
    return;
  }
  const std::span<const FindMatch> rest = stages.subspan(1);
  size_t done = 0;
  while (done < text.size()) {
    const WordMatch match = stages[0](text, done);
    if (match.begin == std::string_view::npos) break;
    split_words(rest, text.substr(done, match.begin - done), sink);
    split_words(rest, text.substr(match.begin, match.end - match.begin), sink);
    done = match.end;
  }
  split_words(rest, text.substr(done), sink);
}

}  // namespace moebius
