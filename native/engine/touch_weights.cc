#include "engine/touch_weights.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/error.h"
#include "base/thread_pool.h"

namespace moebius {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReaders = 8;
constexpr uint64_t kChunk = uint64_t{2} << 20;  // the largest page of most systems
constexpr auto kReportInterval = std::chrono::milliseconds(20);
// Where one chunk takes longer the disk's queue is full; fewer readers keep a cancel quick.
constexpr auto kSlowChunk = std::chrono::milliseconds(20);
constexpr int kLeastReaders = 2;

uint64_t total_bytes(const std::vector<TouchRange>& ranges) {
  uint64_t total = 0;
  for (const TouchRange& each : ranges) total += each.end - each.begin;
  return total;
}

class Toucher {
 public:
  Toucher(const std::vector<TouchRange>& ranges, int n_readers)
      : ranges_(ranges), at_(ranges.front().begin), n_reading_(n_readers) {}

  // One reader: takes chunks until there are none, or until others can do without it.
  void read() {
    try {
      TouchRange chunk;
      while (take(chunk)) {
        const auto start = Clock::now();
        chunk.file->populate(chunk.begin, chunk.end - chunk.begin);
        if (finish(chunk, Clock::now() - start > kSlowChunk)) return;
      }
    } catch (...) {
      stop();
      leave();
      throw;
    }
    leave();
  }

  // Tells how far it is until the readers are done. False when the caller cancelled.
  bool report(const LoadProgress& progress, uint64_t total) {
    std::unique_lock<std::mutex> lock(mutex_);
    bool wanted = true;
    while (n_reading_ > 0) {
      changed_.wait_for(lock, kReportInterval, [&] { return n_reading_ == 0; });
      if (!progress || !wanted) continue;
      const uint64_t done = done_;
      lock.unlock();
      wanted = progress(done, total);
      lock.lock();
      if (!wanted) stopped_ = true;
    }
    return wanted;
  }

  void stop() {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }

 private:
  bool take(TouchRange& chunk) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_ || range_ == ranges_.size()) return false;
    const TouchRange& range = ranges_[range_];
    chunk = {range.file, at_, std::min((at_ / kChunk + 1) * kChunk, range.end)};
    at_ = chunk.end;
    if (at_ == range.end && ++range_ < ranges_.size()) at_ = ranges_[range_].begin;
    return true;
  }

  // True when this reader is one too many.
  bool finish(const TouchRange& chunk, bool was_slow) {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ += chunk.end - chunk.begin;
    if (!was_slow || n_reading_ <= kLeastReaders) return false;
    --n_reading_;
    return true;
  }

  void leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --n_reading_;
    changed_.notify_one();
  }

  const std::vector<TouchRange>& ranges_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t range_ = 0;  // the next chunk
  uint64_t at_ = 0;
  uint64_t done_ = 0;
  int n_reading_;
  bool stopped_ = false;
};

}  // namespace

std::vector<TouchRange> weight_ranges(const GgufModelFile& file,
                                      const std::function<bool(const GgufTensor&)>& is_wanted) {
  std::vector<const GgufTensor*> tensors;
  for (const GgufTensor& tensor : file.tensors())
    if (tensor.n_bytes > 0 && is_wanted(tensor)) tensors.push_back(&tensor);
  std::sort(tensors.begin(), tensors.end(), [](const GgufTensor* a, const GgufTensor* b) {
    return a->part != b->part ? a->part < b->part : a->offset < b->offset;
  });
  constexpr uint64_t kGap = 4096;
  std::vector<TouchRange> ranges;
  for (const GgufTensor* tensor : tensors) {
    const MappedFile& mapping = file.parts()[static_cast<size_t>(tensor->part)].mapping();
    const uint64_t end = tensor->offset + tensor->n_bytes;
    if (!ranges.empty() && ranges.back().file == &mapping && tensor->offset <= ranges.back().end + kGap)
      ranges.back().end = std::max(ranges.back().end, end);
    else
      ranges.push_back({&mapping, tensor->offset, end});
  }
  return ranges;
}

void touch_weights(const std::vector<TouchRange>& ranges, const LoadProgress& progress) {
  const uint64_t total = total_bytes(ranges);
  if (total == 0) {
    if (progress && !progress(0, 0)) throw Error(ErrorCode::kCancelled, "loading was cancelled");
    return;
  }
  for (const TouchRange& each : ranges) each.file->prefer_large_pages(each.begin, each.end - each.begin);
  const int n_readers = static_cast<int>(std::clamp<uint64_t>(total / kChunk, 1, kReaders));
  Toucher toucher(ranges, n_readers);
  bool wanted = true;
  ThreadPool pool(n_readers + 1);
  pool.run([&](int worker) {
    if (worker > 0) return toucher.read();
    try {
      wanted = toucher.report(progress, total);
    } catch (...) {
      toucher.stop();
      throw;
    }
  });
  if (wanted && progress) wanted = progress(total, total);
  if (!wanted) throw Error(ErrorCode::kCancelled, "loading was cancelled");
}

}  // namespace moebius
