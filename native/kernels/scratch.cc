#include "kernels/scratch.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/error.h"

namespace moebius {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmallestBlock = size_t{1} << 20;

size_t rounded_up(size_t bytes) {
  if (bytes > SIZE_MAX - kAlignment)
    throw Error(ErrorCode::kMemory, format_text("scratch: %zu bytes asked for", bytes));
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void* Scratch::take_bytes(size_t bytes) {
  // One line at least, so that two takes never share an address.
  const size_t wanted = std::max(rounded_up(bytes), kAlignment);
  if (blocks_.empty() || blocks_[block_].size() - used_ < wanted) next_block(wanted);
  void* taken = blocks_[block_].as<uint8_t>() + used_;
  used_ += wanted;
  return taken;
}

void Scratch::next_block(size_t bytes) {
  const size_t next = blocks_.empty() ? 0 : block_ + 1;
  if (next == blocks_.size() || blocks_[next].size() < bytes) {
    const size_t size = std::max({bytes, kSmallestBlock, bytes_reserved() / 2});
    PageBuffer fresh(size);
    // Blocks behind the current one hold nothing that is still in use.
    if (next == blocks_.size()) blocks_.push_back(std::move(fresh));
    else blocks_[next] = std::move(fresh);
  }
  block_ = next;
  used_ = 0;
}

void Scratch::reserve(size_t bytes) {
  const size_t wanted = rounded_up(bytes);
  if (!blocks_.empty() && blocks_[block_].size() - used_ >= wanted) return;
  const Mark before = mark();
  const bool was_empty = blocks_.empty();
  next_block(wanted);
  if (!was_empty) release(before);
}

void Scratch::release(Mark mark) {
  block_ = mark.block;
  used_ = mark.used;
}

void Scratch::reset() {
  block_ = 0;
  used_ = 0;
  if (blocks_.size() < 2) return;
  const size_t total = bytes_reserved();
  blocks_.clear();  // First, so that both never exist at once.
  blocks_.emplace_back(total);
}

size_t Scratch::bytes_reserved() const {
  size_t total = 0;
  for (const PageBuffer& block : blocks_) total += block.size();
  return total;
}

}  // namespace moebius
