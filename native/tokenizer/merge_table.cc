#include "tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "base/error.h"

namespace moebius {

namespace {

// Up to here a word is merged by scanning for the best pair, which beats a heap.
constexpr size_t kScanLimit = 48;

void apply_by_scanning(const MergeTable& table, std::vector<int32_t>& symbols) {
  uint32_t ranks[kScanLimit];  // ranks[i]: pair (i, i + 1)
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = table.rank(symbols[i], symbols[i + 1]);
  while (n > 1) {
    const size_t best = static_cast<size_t>(std::min_element(ranks, ranks + n - 1) - ranks);
    if (ranks[best] == MergeTable::kNoRank) break;
    symbols[best] = table.merge(ranks[best]).result;
    std::move(symbols.begin() + static_cast<ptrdiff_t>(best) + 2, symbols.begin() + static_cast<ptrdiff_t>(n),
              symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    std::move(ranks + best + 1, ranks + n - 1, ranks + best);
    --n;
    if (best > 0) ranks[best - 1] = table.rank(symbols[best - 1], symbols[best]);
    if (best + 1 < n) ranks[best] = table.rank(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

struct Candidate {
  uint32_t rank;
  uint32_t left;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

void apply_by_heap(const MergeTable& table, std::vector<int32_t>& symbols) {
  const uint32_t n = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(n), previous(n);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto push = [&](uint32_t left) {
    if (next[left] >= n) return;
    const uint32_t rank = table.rank(symbols[left], symbols[next[left]]);
    if (rank != MergeTable::kNoRank) heap.push({rank, left});
  };
  for (uint32_t i = 0; i < n; ++i) {
    next[i] = i + 1;
    previous[i] = i - 1;  // wraps for 0, checked below
  }
  for (uint32_t i = 0; i < n; ++i) push(i);
  while (!heap.empty()) {
    const Candidate top = heap.top();
    heap.pop();
    const Merge& merge = table.merge(top.rank);
    const uint32_t right = next[top.left];
    // Outdated when either side has been merged away or grown meanwhile; gone symbols are -1.
    if (symbols[top.left] != merge.left || right >= n || symbols[right] != merge.right) continue;
    symbols[top.left] = merge.result;
    symbols[right] = -1;
    next[top.left] = next[right];
    if (next[right] < n) previous[next[right]] = top.left;
    push(top.left);
    if (previous[top.left] < n) push(previous[top.left]);
  }
  std::erase(symbols, -1);
}

}  // namespace

MergeTable::MergeTable(const std::vector<std::string>& lines, const TokenMap& by_text, int32_t vocab_size)
    : vocab_size_(vocab_size), slots_(std::bit_ceil(std::max<size_t>(lines.size() * 2, 16))) {
  merges_.reserve(lines.size());
  const uint64_t mask = slots_.size() - 1;
  for (const std::string& line : lines) {
    // A part may itself start with a space only in damaged files, but be one character long.
    const size_t space = line.find(' ', 1);
    if (space == std::string::npos || space + 1 == line.size())
      throw Error(ErrorCode::kGguf, format_text("tokenizer.ggml.merges[%zu] is '%.60s', expected two parts with a space between",
                                                merges_.size(), line.c_str()));
    const std::string_view left = std::string_view(line).substr(0, space), right = std::string_view(line).substr(space + 1);
    const Merge merge{symbol(left, by_text), symbol(right, by_text), symbol(std::string(left) + std::string(right), by_text)};
    const bool known = rank(merge.left, merge.right) != kNoRank;
    merges_.push_back(merge);
    if (known) continue;
    uint64_t slot = hash_pair(static_cast<uint32_t>(merge.left), static_cast<uint32_t>(merge.right)) & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<uint32_t>(merges_.size());
  }
}

uint32_t MergeTable::rank(int32_t left, int32_t right) const {
  const uint64_t mask = slots_.size() - 1;
  uint64_t slot = hash_pair(static_cast<uint32_t>(left), static_cast<uint32_t>(right)) & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    const Merge& merge = merges_[slots_[slot] - 1];
    if (merge.left == left && merge.right == right) return slots_[slot] - 1;
  }
  return kNoRank;
}

int32_t MergeTable::symbol(std::string_view text, const TokenMap& by_text) {
  const int32_t id = by_text.find(text);
  if (id >= 0) return id;
  const auto [entry, added] =
      extra_symbols_.emplace(text, vocab_size_ + static_cast<int32_t>(extra_texts_.size()));
  if (added) extra_texts_.emplace_back(text);
  return entry->second;
}

void apply_merges(const MergeTable& table, std::vector<int32_t>& symbols) {
  if (symbols.size() <= kScanLimit) apply_by_scanning(table, symbols);
  else apply_by_heap(table, symbols);
}

}  // namespace moebius
