#include "model/experts/expert_store.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "base/io_threads.h"
#include "base/page_buffer.h"
#include "model/experts/expert_lru.h"
#include "model/experts/read_plan.h"

namespace moebius {

namespace {

using Clock = std::chrono::steady_clock;

// Enough to keep a solid-state disk busy: many reads under way, each long enough to be cheap.
constexpr int kReadThreads = 8;
constexpr uint64_t kReadBytes = uint64_t{1} << 20;
// Experts are read in groups of this size, so that the first can be computed early.
constexpr uint64_t kGroupBytes = kReadThreads * kReadBytes;

double ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

}  // namespace

struct ExpertStore::State {
  std::vector<std::unique_ptr<DirectFile>> files;
  std::vector<LayerExperts> experts;
  int64_t slots_per_layer = 0;
  TensorNames tensor_names;

  mutable std::mutex mutex;  // guards all below, and the layers' own state
  std::condition_variable arrived;
  ExpertStats stats;
  int64_t n_reading = 0;
  Clock::time_point reading_since;

  std::vector<std::unique_ptr<Layer>> layers;  // by layer of the model, null without experts
  std::optional<IoThreads> threads;            // last: ends before what it uses
};

class ExpertStore::Layer final : public ExpertSource {
 public:
  Layer(State& store, const LayerExperts& experts, int64_t n_slots)
      : store_(store),
        experts_(experts),
        regions_(experts.region_bytes()),
        lru_(static_cast<int64_t>(experts.experts.size()), n_slots),
        memory_(experts.slot_bytes() * static_cast<uint64_t>(n_slots)),
        slots_(static_cast<size_t>(n_slots)) {}

  int64_t begin(const int32_t* experts, int64_t n, int32_t* given) override {
    std::unique_lock<std::mutex> lock(store_.mutex);
    end_call(lock);
    wanted_.assign(experts, experts + n);
    for (int32_t i = 0; i < n; ++i) {
      const int64_t slot = lru_.find(experts[i]);
      if (slot < 0) {
        waiting_.push_back(i);
        continue;
      }
      lru_.use(slot);
      given_.push_back(slot);
      *given++ = i;
    }
    n_left_ = static_cast<int64_t>(waiting_.size());
    store_.stats.hits += given_.size();
    store_.stats.misses += waiting_.size();
    start_reads(lock);
    return n - n_left_;
  }

  int64_t next(int32_t* given) override {
    if (n_left_ == 0) return 0;
    std::unique_lock<std::mutex> lock(store_.mutex);
    release_given();
    start_reads(lock);
    const auto start = Clock::now();
    store_.arrived.wait(lock, [this] { return failure_ ? n_reading_ == 0 : !arrived_.empty(); });
    store_.stats.wait_ms += ms_since(start);
    if (failure_) {
      const Error failure = *failure_;
      end_call(lock);
      throw failure;
    }
    for (const int64_t slot : arrived_) {
      given_.push_back(slot);
      *given++ = slots_[static_cast<size_t>(slot)].index;
    }
    arrived_.clear();
    n_left_ -= static_cast<int64_t>(given_.size());
    return static_cast<int64_t>(given_.size());
  }

  ExpertData data(int32_t expert) const override {
    const int64_t slot = lru_.find(expert);
    const auto& slices = experts_.experts[static_cast<size_t>(expert)];
    return {region(slot, 0) + slices[0].offset % kDirectPage, region(slot, 1) + slices[1].offset % kDirectPage,
            region(slot, 2) + slices[2].offset % kDirectPage};
  }

 private:
  struct Slot {
    int32_t index = -1;    // in wanted_, while it is being read
    int64_t n_pieces = 0;  // reads that still bring a part of it
  };

  uint8_t* region(int64_t slot, size_t projection) const {
    uint64_t offset = static_cast<uint64_t>(slot) * (regions_[0] + regions_[1] + regions_[2]);
    for (size_t i = 0; i < projection; ++i) offset += regions_[i];
    return memory_.as<uint8_t>() + offset;
  }

  void release_given() {
    for (const int64_t slot : given_) lru_.release(slot);
    given_.clear();
  }

  // Waits for what is under way; a call that was given up must not be read into later.
  void end_call(std::unique_lock<std::mutex>& lock) {
    store_.arrived.wait(lock, [this] { return n_reading_ == 0; });
    release_given();
    for (int64_t slot = 0; slot < lru_.n_slots(); ++slot)
      if (slots_[static_cast<size_t>(slot)].n_pieces > 0) {
        slots_[static_cast<size_t>(slot)].n_pieces = 0;
        lru_.forget(slot);
      }
    for (const int64_t slot : arrived_) lru_.release(slot);
    arrived_.clear();
    waiting_.clear();
    n_left_ = 0;
    failure_.reset();
  }

  // Claims slots for as many of the missing experts as there are slots that nobody uses.
  void start_reads(std::unique_lock<std::mutex>& lock) {
    std::vector<std::function<void()>> jobs;
    std::vector<SliceRead> group;
    uint64_t group_bytes = 0;
    size_t n_started = 0;
    for (; n_started < waiting_.size(); ++n_started) {
      const int32_t index = waiting_[n_started];
      const int32_t expert = wanted_[static_cast<size_t>(index)];
      const int64_t slot = lru_.claim(expert);
      if (slot < 0) break;
      slots_[static_cast<size_t>(slot)].index = index;
      for (size_t i = 0; i < regions_.size(); ++i) {
        const SliceLocation& at = experts_.experts[static_cast<size_t>(expert)][i];
        group.push_back({at.part, at.offset, at.n_bytes, region(slot, i), slot});
        group_bytes += at.n_bytes;
      }
      if (group_bytes < kGroupBytes) continue;
      add_jobs(group, jobs);
      group.clear();
      group_bytes = 0;
    }
    if (n_started == 0) return;
    add_jobs(group, jobs);
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(n_started));
    n_reading_ += static_cast<int64_t>(jobs.size());
    if (store_.n_reading == 0) store_.reading_since = Clock::now();
    store_.n_reading += static_cast<int64_t>(jobs.size());
    lock.unlock();
    store_.threads->submit(std::move(jobs));
    lock.lock();
  }

  void add_jobs(const std::vector<SliceRead>& group, std::vector<std::function<void()>>& jobs) {
    for (PlannedRead& read : plan_reads(group, kReadBytes)) {
      for (const int64_t slot : read.slots) ++slots_[static_cast<size_t>(slot)].n_pieces;
      jobs.push_back([this, read = std::move(read)]() mutable { run(read); });
    }
  }

  // On a reading thread.
  void run(PlannedRead& read) {
    const ReadResult result = store_.files[static_cast<size_t>(read.part)]->read(read.offset, read.segments, read.needed);
    const bool is_whole = result.bytes >= read.needed;
    if (is_whole)
      for (const PlannedRead::Copy& copy : read.copies) std::copy_n(copy.from, kDirectPage, copy.to);
    const std::lock_guard<std::mutex> lock(store_.mutex);
    store_.stats.bytes_read += result.bytes;
    if (is_whole)
      for (const int64_t slot : read.slots) {
        if (--slots_[static_cast<size_t>(slot)].n_pieces == 0) arrived_.push_back(slot);
      }
    else if (!failure_)
      failure_ = failure_of(read, result);
    --n_reading_;
    if (--store_.n_reading == 0) store_.stats.read_ms += ms_since(store_.reading_since);
    store_.arrived.notify_all();
  }

  Error failure_of(const PlannedRead& read, const ReadResult& result) const {
    const uint64_t offset = std::max(read.first_byte, read.offset + result.bytes);
    const std::string tensor = store_.tensor_names(read.part, offset);
    const std::string& path = store_.files[static_cast<size_t>(read.part)]->path();
    if (result.system_error != 0)
      return {ErrorCode::kIo, "could not read tensor " + tensor + " of " + path + ": " + system_error_text(result.system_error),
              "Check the disk and the connection to it, then try again."};
    return {ErrorCode::kIo,
            format_text("could not read tensor %s of %s: the file ends at byte %llu, it had %llu when it was loaded", tensor.c_str(),
                        path.c_str(), static_cast<unsigned long long>(offset),
                        static_cast<unsigned long long>(store_.files[static_cast<size_t>(read.part)]->size())),
            "The file was changed while in use. Restore it and load the model again."};
  }

  State& store_;
  const LayerExperts& experts_;
  std::array<uint64_t, 3> regions_;  // of a slot: gate_proj, up_proj, down_proj
  ExpertLru lru_;
  PageBuffer memory_;  // [n_slots, regions]
  std::vector<Slot> slots_;

  // One call: what it asks for, and how far it is.
  std::vector<int32_t> wanted_;
  std::vector<int32_t> waiting_;  // indices without a slot yet
  std::vector<int64_t> arrived_;  // slots read and not given yet
  std::vector<int64_t> given_;    // slots in the caller's hands
  int64_t n_left_ = 0;            // not given yet
  int64_t n_reading_ = 0;         // reads under way
  std::optional<Error> failure_;
};

ExpertStore::ExpertStore(const std::vector<std::string>& paths, std::vector<LayerExperts> layers, int64_t slots_per_layer,
                         TensorNames tensor_names)
    : state_(std::make_unique<State>()) {
  for (const std::string& path : paths) state_->files.push_back(std::make_unique<DirectFile>(path));
  state_->experts = std::move(layers);
  state_->slots_per_layer = slots_per_layer;
  state_->tensor_names = std::move(tensor_names);
  for (const LayerExperts& experts : state_->experts) {
    state_->layers.resize(static_cast<size_t>(experts.layer) + 1);
    state_->layers.back() = std::make_unique<Layer>(*state_, experts, slots_per_layer);
  }
  state_->threads.emplace(kReadThreads);
}

ExpertStore::~ExpertStore() = default;

ExpertSource* ExpertStore::source(int64_t layer) const {
  return layer < static_cast<int64_t>(state_->layers.size()) ? state_->layers[static_cast<size_t>(layer)].get() : nullptr;
}

ExpertStats ExpertStore::stats() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  ExpertStats stats = state_->stats;
  if (state_->n_reading > 0) stats.read_ms += ms_since(state_->reading_since);
  return stats;
}

int64_t ExpertStore::slots_per_layer() const { return state_->slots_per_layer; }
const std::vector<LayerExperts>& ExpertStore::layers() const { return state_->experts; }

}  // namespace moebius
