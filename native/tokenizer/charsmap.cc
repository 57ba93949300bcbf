#include "tokenizer/charsmap.h"

#include "base/error.h"

namespace moebius {

namespace {

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  return value;
}

uint32_t unit_offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t unit_label(uint32_t unit) { return unit & (1u << 31 | 0xFF); }
bool unit_has_leaf(uint32_t unit) { return unit >> 8 & 1; }
uint32_t unit_value(uint32_t unit) { return unit & 0x7FFFFFFF; }

}  // namespace

Charsmap::Charsmap(std::string_view blob) {
  if (blob.empty()) return;
  if (blob.size() < 4) throw Error(ErrorCode::kGguf, "tokenizer.ggml.precompiled_charsmap is shorter than its header");
  const uint32_t trie_bytes = read_u32(blob, 0);
  if (trie_bytes % 4 != 0 || trie_bytes > blob.size() - 4)
    throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.precompiled_charsmap says its trie has %u bytes, the key has %zu",
                                              trie_bytes, blob.size()));
  for (size_t at = 4; at < 4 + static_cast<size_t>(trie_bytes); at += 4) units_.push_back(read_u32(blob, at));
  replacements_ = blob.substr(4 + trie_bytes);
  replacements_.push_back('\0');  // the last one is terminated even in a damaged file
}

Charsmap::Match Charsmap::longest(std::string_view text, size_t at) const {
  Match match;
  if (units_.empty()) return match;
  uint32_t node = unit_offset(units_[0]);
  for (size_t i = at; i < text.size() && text[i] != 0; ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || unit_label(units_[node]) != byte) break;
    const bool has_leaf = unit_has_leaf(units_[node]);
    node ^= unit_offset(units_[node]);
    if (!has_leaf) continue;
    if (node >= units_.size()) break;
    const uint32_t position = unit_value(units_[node]);
    if (position >= replacements_.size()) break;
    match.length = i + 1 - at;
    match.replacement = std::string_view(replacements_.c_str() + position);
  }
  return match;
}

}  // namespace moebius
