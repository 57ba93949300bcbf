#include "model/experts/read_plan.h"

#include <algorithm>
#include <tuple>

namespace moebius {

namespace {

// Adds slices in file order; remembers where the last page went, for a slice that begins in it.
class Planner {
 public:
  explicit Planner(uint64_t most_bytes) : most_bytes_(most_bytes) {}

  void add(const SliceRead& slice) {
    const uint64_t first = slice.offset / kDirectPage * kDirectPage;
    const uint64_t end = slice.offset + slice.n_bytes;
    const uint64_t pages_end = (end + kDirectPage - 1) / kDirectPage * kDirectPage;
    const bool follows = !reads_.empty() && reads_.back().part == slice.part && (first == end_ || first + kDirectPage == end_);
    if (!follows) open_read(slice.part, first, slice.offset);
    uint64_t at = first;
    if (first < end_) {
      reads_.back().copies.push_back({last_page_, slice.to});
      at += kDirectPage;
      take_part(slice.slot, std::min(end, at));
    }
    while (at < pages_end) {
      if (end_ - reads_.back().offset == most_bytes_) open_read(slice.part, at, at);
      const uint64_t n = std::min(pages_end - at, most_bytes_ - (end_ - reads_.back().offset));
      append(slice.to + (at - first), n);
      at += n;
      take_part(slice.slot, std::min(end, at));
    }
  }

  std::vector<PlannedRead> result() { return std::move(reads_); }

 private:
  void open_read(int part, uint64_t offset, uint64_t first_byte) {
    PlannedRead read;
    read.part = part;
    read.offset = end_ = offset;
    read.first_byte = first_byte;
    reads_.push_back(std::move(read));
  }

  void append(uint8_t* to, uint64_t n) {
    std::vector<ReadSegment>& segments = reads_.back().segments;
    if (!segments.empty() && segments.back().to + segments.back().bytes == to) {
      segments.back().bytes += n;
    } else {
      segments.push_back({to, n});
    }
    end_ += n;
    last_page_ = to + n - kDirectPage;
  }

  void take_part(int64_t slot, uint64_t end) {
    PlannedRead& read = reads_.back();
    read.needed = std::max(read.needed, end - read.offset);
    if (read.slots.empty() || read.slots.back() != slot) read.slots.push_back(slot);
  }

  uint64_t most_bytes_;
  std::vector<PlannedRead> reads_;
  uint64_t end_ = 0;  // of the last read, so far
  uint8_t* last_page_ = nullptr;
};

}  // namespace

uint64_t PlannedRead::n_bytes() const {
  uint64_t total = 0;
  for (const ReadSegment& segment : segments) total += segment.bytes;
  return total;
}

std::vector<PlannedRead> plan_reads(std::span<const SliceRead> slices, uint64_t most_bytes) {
  std::vector<SliceRead> sorted(slices.begin(), slices.end());
  std::sort(sorted.begin(), sorted.end(), [](const SliceRead& a, const SliceRead& b) {
    return std::tie(a.part, a.offset) < std::tie(b.part, b.offset);
  });
  Planner planner(most_bytes);
  for (const SliceRead& slice : sorted) planner.add(slice);
  return planner.result();
}

}  // namespace moebius
