#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "tokenizer/unicode.h"
#include "tokenizer/word_patterns.h"

// The expressions are those of the models' tokenizer.json files. Where llama.cpp simplifies
// one because its engine lacks a feature (GPT-4o's and Kimi's case classes), the original is
// followed, since it is what the model was trained with.

namespace moebius {

namespace {

constexpr WordMatch kNoMatch{std::string_view::npos, std::string_view::npos};

// Turns "match here" into "find the next match".
template <size_t (*match)(std::string_view, size_t)>
WordMatch find(std::string_view text, size_t from) {
  while (from < text.size()) {
    const size_t end = match(text, from);
    if (end > from) return {from, end};
    from += decode_utf8(text, from).bytes;
  }
  return kNoMatch;
}

template <WordRules::Letters letters, size_t max_digits, char slash = 0, bool contractions = true,
          uint32_t letter_classes = kLetters>
size_t match_family(std::string_view text, size_t at) {
  static constexpr WordRules rules{letters, contractions, letter_classes, max_digits,
                                   letters == WordRules::Letters::kGpt2 ? "" : slash ? "\r\n/" : "\r\n"};
  return match_word(text, at, rules);
}

// [\r\n]
size_t match_newline(std::string_view text, size_t at) {
  return text[at] == '\r' || text[at] == '\n' ? at + 1 : at;
}

// \p{N}{1,max}
template <size_t max>
size_t match_digits(std::string_view text, size_t at) {
  return class_run(text, at, kNumbers, max);
}

// [0-9][0-9][0-9]
size_t match_three_ascii_digits(std::string_view text, size_t at) {
  if (text.size() - at < 3) return at;
  for (size_t i = 0; i < 3; ++i)
    if (text[at + i] < '0' || text[at + i] > '9') return at;
  return at + 3;
}

// \s?[accepted]+ ; a space that is itself accepted may be all there is.
template <typename Accept>
size_t match_after_whitespace(std::string_view text, size_t at, const Accept& accept) {
  const auto run = [&](size_t end) {
    for (PatternChar c = pattern_char(text, end); c.bytes > 0 && accept(c); c = pattern_char(text, end)) end += c.bytes;
    return end;
  };
  const PatternChar first = pattern_char(text, at);
  const size_t start = first.class_bit & kWhitespaces ? at + first.bytes : at;
  const size_t end = run(start);
  return end > start ? end : run(at);
}

size_t match_deepseek_letters(std::string_view text, size_t at) {
  return match_after_whitespace(text, at, [](const PatternChar& c) { return is_deepseek_letter(c.value); });
}

// \s?[!-/:-~！-／：-～‘-‟　-。]+
size_t match_deepseek_symbols(std::string_view text, size_t at) {
  return match_after_whitespace(text, at, [](const PatternChar& c) {
    const auto in = [&](uint32_t first, uint32_t last) { return c.value >= first && c.value <= last; };
    return in('!', '/') || in(':', '~') || in(0xFF01, 0xFF0F) || in(0xFF1A, 0xFF5E) || in(0x2018, 0x201F) ||
           in(0x3000, 0x3002);
  });
}

// \s?\p{L}+  and  \s?\p{P}+
template <uint32_t classes>
size_t match_spaced_class(std::string_view text, size_t at) {
  return match_after_whitespace(text, at, [](const PatternChar& c) { return (c.class_bit & classes) != 0; });
}

// [一-龥ࠀ-一가-퟿]+
size_t match_deepseek_cjk(std::string_view text, size_t at) {
  for (PatternChar c = pattern_char(text, at); c.bytes > 0; c = pattern_char(text, at)) {
    const bool cjk = (c.value >= 0x0800 && c.value <= 0x9FA5) || (c.value >= 0xAC00 && c.value <= 0xD7FF);
    if (!cjk) break;
    at += c.bytes;
  }
  return at;
}

// [一-龥぀-ゟ゠-ヿ]+
size_t match_deepseek_v3_cjk(std::string_view text, size_t at) {
  for (PatternChar c = pattern_char(text, at); c.bytes > 0; c = pattern_char(text, at)) {
    const bool cjk = (c.value >= 0x4E00 && c.value <= 0x9FA5) || (c.value >= 0x3040 && c.value <= 0x30FF);
    if (!cjk) break;
    at += c.bytes;
  }
  return at;
}

// [\p{P}\$\+<=>\^~\|]+  and the same with ` (Falcon)
template <bool backtick>
size_t match_punctuation(std::string_view text, size_t at) {
  constexpr std::string_view extra = backtick ? "$+<=>^~|`" : "$+<=>^~|";
  for (PatternChar c = pattern_char(text, at); c.bytes > 0; c = pattern_char(text, at)) {
    const bool accepted = (c.class_bit & kPunctuations) ||
                          (c.value < 0x80 && extra.find(static_cast<char>(c.value)) != std::string_view::npos);
    if (!accepted) break;
    at += c.bytes;
  }
  return at;
}

// \s+$ : only the run at the very end can match, so it is looked for from there.
WordMatch find_trailing_whitespace(std::string_view text, size_t from) {
  size_t begin = text.size();
  while (begin > from) {
    size_t previous = begin - 1;
    while (previous > from && begin - previous < 4 && (text[previous] & 0xC0) == 0x80) --previous;
    const PatternChar c = pattern_char(text, previous);
    if (previous + c.bytes != begin || !(c.class_bit & kWhitespaces)) break;
    begin = previous;
  }
  return begin < text.size() ? WordMatch{begin, text.size()} : kNoMatch;
}

using Letters = WordRules::Letters;
constexpr FindMatch kGpt2Word = find<match_family<Letters::kGpt2, 0>>;
constexpr FindMatch kLlama3Word = find<match_family<Letters::kLlama3, 3>>;
constexpr FindMatch kQwen2Word = find<match_family<Letters::kLlama3, 1>>;
constexpr FindMatch kDigit = find<match_digits<1>>;

constexpr FindMatch kGpt2[] = {kGpt2Word};
constexpr FindMatch kStarcoder[] = {kDigit, kGpt2Word};
constexpr FindMatch kLlama3[] = {kLlama3Word};
constexpr FindMatch kQwen2[] = {kQwen2Word};
constexpr FindMatch kQwen35[] = {find<match_family<Letters::kLlama3, 1, 0, true, kLetters | kMarks>>};
constexpr FindMatch kGpt4o[] = {find<match_family<Letters::kGpt4o, 3, '/'>>};
constexpr FindMatch kTekken[] = {find<match_family<Letters::kGpt4o, 1, '/', false>>};
constexpr FindMatch kKimi[] = {find<match_family<Letters::kKimi, 3>>};
constexpr FindMatch kDeepseekLlm[] = {find<match_newline>, find<match_deepseek_letters>, find<match_deepseek_symbols>,
                                      find_trailing_whitespace, find<match_deepseek_cjk>, find<match_digits<SIZE_MAX>>};
constexpr FindMatch kDeepseekCoder[] = {find<match_newline>, find<match_spaced_class<kLetters>>,
                                        find<match_spaced_class<kPunctuations>>, find<match_deepseek_cjk>, kDigit};
constexpr FindMatch kDeepseekV3[] = {find<match_digits<3>>, find<match_deepseek_v3_cjk>, find<match_deepseek_v3_word>};
constexpr FindMatch kFalcon[] = {find<match_punctuation<true>>, kGpt2Word, find<match_three_ascii_digits>};
constexpr FindMatch kDefault[] = {find<match_punctuation<false>>, kGpt2Word, find<match_digits<SIZE_MAX>>,
                                  find<match_three_ascii_digits>};

// Sorted by name.
constexpr PreTokenizer kPreTokenizers[] = {
    {"bailingmoe", kQwen2},
    {"bailingmoe2", kQwen2},
    {"chatglm-bpe", kLlama3},
    {"command-r", kStarcoder},
    {"dbrx", kLlama3},
    {"deepseek-coder", kDeepseekCoder},
    {"deepseek-llm", kDeepseekLlm},
    {"deepseek-r1-qwen", kQwen2},
    {"deepseek-v3", kDeepseekV3},
    {"default", kDefault},
    {"exaone4", kGpt2},
    {"falcon", kFalcon},
    {"falcon-h1", kLlama3, true, true},
    {"falcon3", kLlama3, true, true},
    {"glm4", kLlama3},
    {"gpt-2", kGpt2},
    {"gpt-4o", kGpt4o},
    {"grok-2", kQwen2},
    {"hunyuan", kQwen2},
    {"hunyuan-dense", kDeepseekV3},
    {"joyai-llm", kDeepseekV3},
    {"kanana2", kGpt4o},
    {"kimi-k2", kKimi},
    {"lfm2", kLlama3, true, true},
    {"llada-moe", kQwen2},
    {"llama-bpe", kLlama3, true, true},
    {"llama-v3", kLlama3, true, true},
    {"llama3", kLlama3, true, true},
    {"llama4", kGpt4o},
    {"megrez", kQwen2},
    {"minimax-m2", kGpt4o},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"phi-2", kGpt2},
    {"pixtral", kLlama3, true, true},
    {"qwen2", kQwen2},
    {"qwen35", kQwen35},
    {"refact", kStarcoder},
    {"smaug-bpe", kLlama3},
    {"smollm", kStarcoder},
    {"solar-open", kQwen2},
    {"stablelm2", kQwen2},
    {"starcoder", kStarcoder},
    {"tekken", kTekken, true, true},
};

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  for (const PreTokenizer& pre : kPreTokenizers)
    if (pre.name == name) return &pre;
  return nullptr;
}

std::vector<std::string> pre_tokenizer_names() {
  std::vector<std::string> names;
  for (const PreTokenizer& pre : kPreTokenizers) names.emplace_back(pre.name);
  return names;
}

}  // namespace moebius
