// The tokenizer's rules on small vocabularies made here: special tokens, defaults, unigram,
// streaming, and refusal of broken vocabularies.
#include "tokenizer/tokenizer.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "native/test.h"
#include "tokenizer/checked_vocabulary.h"
#include "tokenizer/unicode.h"

namespace moebius::test {
namespace {

constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

void add(Vocabulary& v, const std::string& text, int32_t type = kNormal, float score = 0) {
  v.tokens.push_back(text);
  v.token_types.push_back(type);
  v.scores.push_back(score);
}

// All bytes (id = byte), then merges of "hello", then special tokens.
Vocabulary byte_level() {
  Vocabulary v;
  v.model = "gpt2";
  v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(text, byte_to_code_point(static_cast<uint8_t>(byte)));
    add(v, text);
  }
  for (const char* merge : {"l l", "h e", "he ll", "hell o", "Ġ hello"}) v.merges.push_back(merge);
  for (const char* token : {"ll", "he", "hell", "hello", "Ġhello"}) add(v, token);  // 256..260
  add(v, "<s>", kControl);              // 261
  add(v, "<|im_end|>", kControl);       // 262
  add(v, "<tool>", kUserDefined);       // 263
  add(v, "<tool>s", kUserDefined);      // 264
  add(v, "[PAD]unused", kUnused);       // 265
  v.bos_id = 261;
  v.add_bos = 1;
  return v;
}

Vocabulary sentence_piece() {
  Vocabulary v;
  v.model = "llama";
  add(v, "<unk>", kUnknown);
  add(v, "<s>", kControl);
  add(v, "</s>", kControl);
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    add(v, text, kByte);
  }
  const std::pair<const char*, float> pieces[] = {{"▁", -1}, {"a", -2}, {"b", -3}, {"c", -4}, {"ab", -5}, {"bc", -4.5f},
                                                  {"▁a", -6}, {"▁▁", -7}, {"/s", -20}, {"<", -9}, {"</", -10}, {"s>", -11}, {"s", -12}, {">", -13}, {"/", -14}};
  for (const auto& [text, score] : pieces) add(v, text, kNormal, score);
  return v;
}

std::string texts(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string out;
  for (const int32_t id : ids) {
    if (!out.empty()) out += ' ';
    out += tokenizer.token_text(id);
  }
  return out;
}

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
constexpr EncodeOptions kParse{.add_special = false, .parse_special = true};

TEST(byte_alphabet_is_a_bijection) {
  for (int byte = 0; byte < 256; ++byte)
    CHECK_EQ(code_point_to_byte(byte_to_code_point(static_cast<uint8_t>(byte))), byte);
  CHECK_EQ(byte_to_code_point(' '), 0x120u);
  CHECK_EQ(byte_to_code_point('\n'), 0x10Au);
  CHECK_EQ(byte_to_code_point(0xAD), 0x143u);
  CHECK_EQ(code_point_to_byte(0x144), -1);
  CHECK_EQ(code_point_to_byte(' '), -1);
}

TEST(merges_apply_by_rank_then_from_the_left) {
  const auto t = Tokenizer::create(byte_level());
  CHECK_EQ(texts(*t, t->encode("hello hello", kPlain)), "hello Ġhello");
  CHECK_EQ(texts(*t, t->encode("helllo", kPlain)), "hell l o");
  CHECK_EQ(texts(*t, t->encode("hellllo", kPlain)), "hell ll o");
  CHECK_EQ(t->encode("hello")[0], 261);
  CHECK(t->adds_bos());
  CHECK(t->encode("", kPlain).empty());
  CHECK_EQ(t->encode("").size(), size_t{1});
  // The heap of long words and the scan of short ones agree.
  std::string many(600, 'l');
  CHECK_EQ(t->encode(many, kPlain).size(), size_t{300});
}

TEST(byte_level_never_adds_or_drops_a_space) {
  Vocabulary v = byte_level();
  v.add_space_prefix = 1;
  const auto t = Tokenizer::create(v);
  CHECK(!t->adds_space_prefix());
  CHECK_EQ(t->decode(t->encode(" a")), " a");
}

TEST(special_tokens_are_partitioned) {
  const auto t = Tokenizer::create(byte_level());
  CHECK_EQ(texts(*t, t->encode("hello<s>hello", kParse)), "hello <s> hello");
  CHECK_EQ(texts(*t, t->encode("<s>", kPlain)), "< s >");
  // User-defined tokens always match, the longest first, and keep the spaces around them.
  CHECK_EQ(texts(*t, t->encode("h <tool>s hello", kPlain)), "h Ġ <tool>s Ġhello");
  CHECK_EQ(texts(*t, t->encode("<tool><tool>x<tool", kPlain)), "<tool> <tool> x < t o o l");
  CHECK_EQ(t->decode(t->encode("<s>a<tool>", kParse)), "a<tool>");
  CHECK_EQ(t->decode(t->encode("<s>a<tool>", kParse), {.skip_special = false}), "<s>a<tool>");
}

TEST(end_of_generation_is_found_by_id_and_name) {
  Vocabulary v = byte_level();
  v.eos_id = 261;
  const auto t = Tokenizer::create(v);
  CHECK(t->is_end_of_generation(261));
  CHECK(t->is_end_of_generation(262));
  CHECK(!t->is_end_of_generation(263));
  CHECK(!t->is_end_of_generation(-1));
  CHECK_EQ(t->eot_id(), 262);
  CHECK_EQ(t->eom_id(), kNoToken);
  for (const char* name : {"<|eot_id|>", "<end_of_turn>", "<｜end▁of▁sentence｜>", "<|endoftext|>", "</s>"}) {
    Vocabulary named = byte_level();
    add(named, name);  // marked normal: becomes control
    const auto n = Tokenizer::create(named);
    CHECK(n->is_end_of_generation(n->vocab_size() - 1));
    CHECK(n->is_special(n->vocab_size() - 1));
  }
  // In gpt-oss <|end|> ends a channel only.
  Vocabulary channels = byte_level();
  for (const char* name : {"<|end|>", "<|return|>", "<|call|>"}) add(channels, name, kControl);
  const auto c = Tokenizer::create(channels);
  CHECK(!c->is_end_of_generation(266));
  CHECK(c->is_end_of_generation(267));
}

TEST(token_bytes_per_type) {
  const auto t = Tokenizer::create(byte_level());
  CHECK_EQ(t->token_bytes(260), " hello");
  CHECK_EQ(t->token_bytes(0xFF), "\xFF");
  CHECK_EQ(t->token_bytes(261), "<s>");
  CHECK_EQ(t->token_bytes(265), "");
  CHECK_EQ(t->find_token("Ġhello"), 260);
  CHECK_EQ(t->find_token("missing"), kNoToken);
  CHECK(t->token_type(263) == TokenType::kUserDefined);
  CHECK_THROWS(Error, "outside the vocabulary", t->token_bytes(266));
  CHECK_THROWS(Error, "outside the vocabulary", t->decode(std::vector<int32_t>{0, -1}));
}

TEST(ignore_merges_takes_whole_words) {
  Vocabulary v = byte_level();
  v.pre = "llama-bpe";
  v.add_bos = -1;
  add(v, "Ġworld");  // no merge leads here
  const auto t = Tokenizer::create(v);
  CHECK_EQ(texts(*t, t->encode("hello world", kPlain)), "hello Ġworld");
  CHECK(t->adds_bos());
  v.pre = "gpt-2";
  const auto g = Tokenizer::create(v);
  CHECK_EQ(texts(*g, g->encode(" world", kPlain)), "Ġ w o r l d");
  CHECK(!g->adds_bos());
}

TEST(sentence_piece_merges_by_score) {
  const auto t = Tokenizer::create(sentence_piece());
  CHECK_EQ(t->bos_id(), 1);
  CHECK_EQ(t->eos_id(), 2);
  CHECK_EQ(t->unk_id(), 0);
  // "bc" scores above "ab".
  CHECK_EQ(texts(*t, t->encode("abc")), "<s> ▁a bc");
  CHECK_EQ(texts(*t, t->encode("ab", kPlain)), "▁ ab");
  CHECK_EQ(texts(*t, t->encode("  a", kPlain)), "▁▁ ▁a");
  CHECK_EQ(texts(*t, t->encode("é", kPlain)), "▁ <0xC3> <0xA9>");
  // Plain text must not merge into a control token.
  CHECK_EQ(texts(*t, t->encode("</s>", kPlain)), "▁ </ s>");
  CHECK_EQ(texts(*t, t->encode("a</s>a", kParse)), "▁a </s> ▁a");
  CHECK_EQ(t->decode(t->encode("a b")), "a b");
  CHECK_EQ(t->decode(t->encode("a b"), {.skip_special = true, .remove_space_prefix = false}), " a b");
  Vocabulary bare = sentence_piece();
  bare.add_space_prefix = 0;
  const auto no_prefix = Tokenizer::create(bare);
  CHECK_EQ(texts(*no_prefix, no_prefix->encode("a", kPlain)), "a");
  CHECK_EQ(no_prefix->decode(no_prefix->encode(" a")), " a");
}

TEST(sentence_piece_cutting_changes_nothing) {
  // "b▁" may be crossed: the text is not cut between b and a space.
  Vocabulary v = sentence_piece();
  add(v, "b▁", kNormal, -0.5f);
  add(v, "b▁a", kNormal, -0.4f);
  const auto t = Tokenizer::create(v);
  CHECK_EQ(texts(*t, t->encode("b a", kPlain)), "▁ b▁a");
  CHECK_EQ(texts(*t, t->encode("c a", kPlain)), "▁ c ▁a");
}

Vocabulary unigram() {
  Vocabulary v;
  v.model = "t5";
  add(v, "<pad>", kControl);
  add(v, "</s>", kControl);
  add(v, "<unk>", kUnknown);
  const std::pair<const char*, float> pieces[] = {{"▁", -3}, {"a", -4}, {"b", -4}, {"ab", -5}, {"abc", -9}, {"c", -3}, {"▁a", -4.5f}, {"bc", -20}};
  for (const auto& [text, score] : pieces) add(v, text, kNormal, score);
  add(v, "<x>", kUserDefined);
  return v;
}

TEST(unigram_finds_the_best_segmentation) {
  const auto t = Tokenizer::create(unigram());
  // ▁ ab c = -3 - 5 - 3; ▁a b c = -4.5 - 4 - 3 = -11.5; ▁ abc = -12.
  CHECK_EQ(texts(*t, t->encode("abc")), "▁ ab c </s>");
  CHECK_EQ(texts(*t, t->encode("a", kPlain)), "▁a");
  CHECK_EQ(texts(*t, t->encode("azzb", kPlain)), "▁a <unk> b");
  CHECK_EQ(texts(*t, t->encode("a<x>b", kPlain)), "▁a <x> ▁ b");
  CHECK_EQ(t->decode(t->encode("ab ab")), "ab ab");
  CHECK_EQ(texts(*t, t->encode("a  a ", kPlain)), "▁a ▁ ▁a ▁");
  Vocabulary merging = unigram();
  merging.remove_extra_whitespaces = 1;
  const auto m = Tokenizer::create(merging);
  CHECK_EQ(texts(*m, m->encode("a  a ", kPlain)), "▁a ▁a");
}

// A charsmap with one rule, "A" -> "a": a double array of two levels.
std::string tiny_charsmap() {
  std::vector<uint32_t> units(256);
  units[0] = 1u << 10;                              // root: children at 1 ^ label
  units[1 ^ 'A'] = 'A' | 1u << 8 | (0x80u ^ 0x01u) << 10;  // has a leaf at index ^ offset
  const uint32_t leaf = (1u ^ 'A') ^ (0x80u ^ 0x01u);
  units[leaf] = 1u << 31;                           // replacement at 0
  std::string blob;
  const auto put = [&](uint32_t value) {
    for (int i = 0; i < 4; ++i) blob.push_back(static_cast<char>(value >> (8 * i)));
  };
  put(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) put(unit);
  return blob + "a" + std::string(1, '\0');
}

TEST(unigram_normalises_by_its_charsmap) {
  Vocabulary v = unigram();
  v.precompiled_charsmap = tiny_charsmap();
  const auto t = Tokenizer::create(v);
  CHECK_EQ(texts(*t, t->encode("Abc", kPlain)), "▁ ab c");
  v.precompiled_charsmap = "abc";
  CHECK_THROWS(Error, "precompiled_charsmap", Tokenizer::create(v));
  v.precompiled_charsmap = std::string("\xFF\xFF\xFF\x7F", 4);
  CHECK_THROWS(Error, "precompiled_charsmap", Tokenizer::create(v));
}

TEST(stream_decoder_holds_back_split_characters) {
  const auto t = Tokenizer::create(byte_level());
  StreamDecoder stream(*t);
  CHECK_EQ(stream.push(0xE4), "");
  CHECK_EQ(stream.push(0xBD), "");
  CHECK_EQ(stream.pending_bytes(), size_t{2});
  CHECK_EQ(stream.push(0xA0), "你");
  CHECK_EQ(stream.push(0xF0), "");
  CHECK_EQ(stream.push('x'), "\uFFFDx");
  CHECK_EQ(stream.push(0xFF), "\uFFFD");
  CHECK_EQ(stream.push(261), "");  // control
  CHECK_EQ(stream.push(0xE4), "");
  CHECK_EQ(stream.push(0xBD), "");
  CHECK_EQ(stream.flush(), "\uFFFD");
  CHECK_EQ(stream.flush(), "");
  CHECK_THROWS(Error, "outside the vocabulary", stream.push(999));
  StreamDecoder all(*t, {.skip_special = false});
  CHECK_EQ(all.push(261), "<s>");
}

TEST(stream_decoder_drops_the_added_space_once) {
  const auto t = Tokenizer::create(sentence_piece());
  StreamDecoder stream(*t);
  CHECK_EQ(stream.push(1), "");
  CHECK_EQ(stream.push(t->find_token("▁a")), "a");
  CHECK_EQ(stream.push(t->find_token("▁a")), " a");
  StreamDecoder kept(*t, {.skip_special = true, .remove_space_prefix = false});
  CHECK_EQ(kept.push(t->find_token("▁a")), " a");
}

TEST(broken_vocabularies_are_refused) {
  const auto refuse = [](const char* text, auto change) {
    Vocabulary v = byte_level();
    change(v);
    CHECK_THROWS(Error, text, Tokenizer::create(v));
  };
  refuse("tokens is empty", [](Vocabulary& v) { v = {}; v.model = "gpt2"; });
  refuse("tokenizer.ggml.model is 'bert'", [](Vocabulary& v) { v.model = "bert"; });
  refuse("not a known pre-tokeniser; supported are bailingmoe", [](Vocabulary& v) { v.pre = "gpt-5"; });
  refuse("scores has 1 entries, expected 266", [](Vocabulary& v) { v.scores.resize(1); });
  refuse("token_type has 267 entries", [](Vocabulary& v) { v.token_types.push_back(1); });
  refuse("token_type[3] is 9", [](Vocabulary& v) { v.token_types[3] = 9; });
  refuse("scores[3] is not a number", [](Vocabulary& v) { v.scores[3] = std::numeric_limits<float>::quiet_NaN(); });
  refuse("bos_token_id is 266", [](Vocabulary& v) { v.bos_id = 266; });
  refuse("eos_token_id is -2", [](Vocabulary& v) { v.eos_id = -2; });
  refuse("bos_token_id is missing", [](Vocabulary& v) { v.bos_id = kNoToken; });
  refuse("merges[5] is 'abc'", [](Vocabulary& v) { v.merges.push_back("abc"); });
  refuse("merges[5] is 'a '", [](Vocabulary& v) { v.merges.push_back("a "); });
  refuse("merges[5] is ''", [](Vocabulary& v) { v.merges.push_back(""); });
  refuse("is 3000 bytes long", [](Vocabulary& v) { v.tokens[3] = std::string(3000, 'x'); });
  refuse("special token of 600 bytes", [](Vocabulary& v) { v.tokens[261] = std::string(600, 'x'); });
  refuse("not spelled <0xNN>", [](Vocabulary& v) { v.token_types[3] = kByte; });
  Vocabulary no_unknown = unigram();
  no_unknown.tokens.resize(2);
  no_unknown.scores.resize(2);
  no_unknown.token_types.resize(2);
  CHECK_THROWS(Error, "unknown_token_id", Tokenizer::create(no_unknown));
}

TEST(odd_but_usable_vocabularies_work) {
  Vocabulary v = byte_level();
  v.tokens[265] = "";                    // empty token
  v.tokens.push_back("hello");           // the same text twice: the first counts
  v.token_types.push_back(kNormal);
  v.scores.clear();
  v.merges.push_back("h e");             // the same merge twice: the first counts
  v.merges.push_back("x y");             // parts and result that are no tokens
  v.merges.push_back("xy z");
  const auto t = Tokenizer::create(v);
  CHECK_EQ(texts(*t, t->encode("hello xyz", kPlain)), "hello Ġ x y z");
  CHECK_EQ(t->token_bytes(265), "");
  CHECK_EQ(t->decode(t->encode("hello xyz")), "hello xyz");
  // A vocabulary without most bytes writes nothing for them, or the unknown token.
  Vocabulary small;
  small.model = "gpt2";
  for (const char* text : {"a", "b", "?"}) small.tokens.push_back(text);
  CHECK_EQ(Tokenizer::create(small)->encode("axb", kPlain).size(), size_t{2});
  small.unk_id = 2;
  const auto with_unknown = Tokenizer::create(small);
  CHECK_EQ(texts(*with_unknown, with_unknown->encode("axb", kPlain)), "a ? b");
}

TEST(unicode_helpers) {
  CHECK_EQ(to_valid_utf8("a\xF0\x9F\x98"), "a\uFFFD");
  CHECK_EQ(to_valid_utf8("\xF0\x9F\x41"), "\uFFFDA");
  CHECK_EQ(to_valid_utf8("\xC0\x80"), "\uFFFD\uFFFD");
  CHECK_EQ(to_valid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  CHECK_EQ(incomplete_utf8_tail("a\xE4\xBD"), size_t{2});
  CHECK_EQ(incomplete_utf8_tail("a\xE4\xBD\xA0"), size_t{0});
  CHECK_EQ(incomplete_utf8_tail("\xF0\x9F\x98"), size_t{3});
  CHECK_EQ(incomplete_utf8_tail("\xED\xA0"), size_t{0});
  CHECK(char_class('a') == CharClass::kLower && char_class(0x4E00) == CharClass::kOtherLetter);
  CHECK(char_class(0x85) == CharClass::kWhitespace && char_class(0x10FFFF) == CharClass::kOther);
  CHECK(char_class(0xB2) == CharClass::kNumber && char_class(0x301) == CharClass::kMark);
  CHECK(is_han(0x3007) && is_han(0x20000) && !is_han(0x3042));
}

std::string literal_texts(const Tokenizer& tokenizer, std::string_view text, std::vector<TextSpan> literal) {
  return texts(tokenizer, tokenizer.encode(text, {.add_special = false, .parse_special = true, .literal = literal}));
}

TEST(special_tokens_touch_no_literal_span) {
  const auto t = Tokenizer::create(byte_level());
  // The first one is somebody's text, the second the template's.
  CHECK_EQ(literal_texts(*t, "hello<s>hello<s>", {{5, 8}}), "hello < s > hello <s>");
  // Any byte of it will do, at either end and in the middle.
  for (const TextSpan span : {TextSpan{5, 6}, TextSpan{6, 7}, TextSpan{7, 8}})
    CHECK_EQ(literal_texts(*t, "hello<s>", {span}), "hello < s >");
  // What only borders on one is matched; an empty one forbids nothing.
  CHECK_EQ(literal_texts(*t, "a<s>a", {{0, 1}, {4, 5}}), "a <s> a");
  CHECK_EQ(literal_texts(*t, "<s>", {{1, 1}}), "<s>");
  // User-defined ones keep away as well; a shorter one before the span still fits.
  CHECK_EQ(literal_texts(*t, "<tool>", {{0, 6}}), "< t o o l >");
  CHECK_EQ(literal_texts(*t, "<tool>s", {{6, 7}}), "<tool> s");
  CHECK_THROWS(Error, "ascending spans", literal_texts(*t, "abc", {{2, 3}, {0, 1}}));
  CHECK_THROWS(Error, "ascending spans", literal_texts(*t, "abc", {{1, 4}}));
  CHECK_THROWS(Error, "ascending spans", literal_texts(*t, "abc", {{2, 1}}));
}

}  // namespace
}  // namespace moebius::test
