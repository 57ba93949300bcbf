// The parts of expert streaming alone: which slot gives way, which reads are made of the slices
// wanted, how a budget is spent, and a store over a file of known bytes.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"
#include "base/page_buffer.h"
#include "model/experts/expert_lru.h"
#include "model/experts/expert_store.h"
#include "model/experts/read_plan.h"
#include "native/test.h"

using namespace moebius;

namespace {

namespace fs = std::filesystem;

uint8_t byte_at(uint64_t offset) { return static_cast<uint8_t>(offset * 131 + offset / 251 + offset / 4096 * 7); }

struct ByteFile {
  std::string path = (fs::temp_directory_path() / "moebius-expert-store.bin").string();
  explicit ByteFile(uint64_t n) {
    std::string bytes(n, '\0');
    for (uint64_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(byte_at(i));
    std::ofstream(path, std::ios::binary) << bytes;
  }
  ~ByteFile() { fs::remove(path); }
};

// Experts whose three matrices are stacked one behind the other from `offset` on, as in a GGUF.
LayerExperts stacked_layer(int64_t layer, uint64_t offset, uint64_t slice_bytes, int64_t n_experts) {
  LayerExperts experts;
  experts.layer = layer;
  const auto n = static_cast<uint64_t>(n_experts);
  for (uint64_t e = 0; e < n; ++e) {
    std::array<SliceLocation, 3> slices;
    for (uint64_t i = 0; i < 3; ++i) slices[i] = {0, offset + (i * n + e) * slice_bytes, slice_bytes};
    experts.experts.push_back(slices);
  }
  return experts;
}

std::string tensor_name(int, uint64_t offset) { return "tensor-with-byte-" + std::to_string(offset); }

void check_data(const ExpertSource& source, const LayerExperts& experts, int32_t expert) {
  const ExpertData data = source.data(expert);
  const void* const matrices[] = {data.gate_proj, data.up_proj, data.down_proj};
  for (size_t i = 0; i < 3; ++i) {
    const SliceLocation& at = experts.experts[static_cast<size_t>(expert)][i];
    const auto* bytes = static_cast<const uint8_t*>(matrices[i]);
    uint64_t wrong = 0;
    for (uint64_t b = 0; b < at.n_bytes; ++b) wrong += bytes[b] != byte_at(at.offset + b);
    CHECK_EQ(wrong, uint64_t{0});
  }
}

// One call: checks the bytes of whatever is given, and that all are given once.
void ask(ExpertSource& source, const LayerExperts& experts, const std::vector<int32_t>& wanted) {
  std::vector<int32_t> given(wanted.size());
  std::map<int32_t, int> seen;
  int64_t n = source.begin(wanted.data(), static_cast<int64_t>(wanted.size()), given.data());
  int64_t total = n;
  for (;;) {
    for (int64_t i = 0; i < n; ++i) {
      const int32_t expert = wanted[static_cast<size_t>(given[static_cast<size_t>(i)])];
      ++seen[expert];
      check_data(source, experts, expert);
    }
    n = source.next(given.data());
    if (n == 0) break;
    total += n;
  }
  CHECK_EQ(total, static_cast<int64_t>(wanted.size()));
  for (const int32_t expert : wanted) CHECK_EQ(seen[expert], 1);
}

struct Slices {
  PageBuffer memory{1 << 22};
  std::vector<SliceRead> wanted;
  uint64_t used = 0;
  void add(int part, uint64_t offset, uint64_t n_bytes, int64_t slot) {
    wanted.push_back({part, offset, n_bytes, memory.as<uint8_t>() + used, slot});
    used += (offset % kDirectPage + n_bytes + kDirectPage - 1) / kDirectPage * kDirectPage + kDirectPage;
  }
};

}  // namespace

TEST(the_expert_unused_for_longest_gives_way) {
  ExpertLru lru(10, 3);
  CHECK_EQ(lru.find(4), int64_t{-1});
  const int64_t a = lru.claim(4), b = lru.claim(5), c = lru.claim(6);
  CHECK_EQ(lru.claim(7), int64_t{-1});  // all in use
  for (const int64_t slot : {a, b, c}) lru.release(slot);
  lru.use(lru.find(4));
  lru.release(a);
  CHECK_EQ(lru.claim(7), b);
  CHECK_EQ(lru.find(5), int64_t{-1});
  CHECK_EQ(lru.find(7), b);
  CHECK_EQ(lru.claim(8), c);
  CHECK_EQ(lru.claim(9), a);
  lru.forget(b);
  CHECK_EQ(lru.find(7), int64_t{-1});
  CHECK_EQ(lru.claim(1), b);
}

TEST(reads_of_neighbours_are_merged) {
  Slices slices;
  // Three neighbours that share pages, one apart, one in another part; out of order.
  slices.add(0, 100 + 20000, 10000, 2);
  slices.add(0, 100, 10000, 0);
  slices.add(0, 100 + 10000, 10000, 1);
  slices.add(0, 100000, 4096, 3);
  slices.add(1, 30100, 50, 4);
  const std::vector<PlannedRead> reads = plan_reads(slices.wanted, 1 << 20);
  CHECK_EQ(reads.size(), size_t{3});
  CHECK_EQ(reads[0].offset, uint64_t{0});
  CHECK_EQ(reads[0].needed, uint64_t{30100});
  CHECK_EQ(reads[0].first_byte, uint64_t{100});
  CHECK_EQ(reads[0].n_bytes(), uint64_t{8 * 4096});  // each page once
  CHECK_EQ(reads[0].segments.size(), size_t{3});
  CHECK_EQ(reads[0].copies.size(), size_t{2});
  CHECK((reads[0].slots == std::vector<int64_t>{0, 1, 2}));
  CHECK_EQ(reads[1].offset, uint64_t{24 * 4096});
  CHECK_EQ(reads[1].n_bytes(), uint64_t{2 * 4096});
  CHECK_EQ(reads[2].part, 1);
}

TEST(long_reads_are_cut_and_small_slices_share_a_page) {
  Slices slices;
  slices.add(0, 4096, 100000, 7);
  std::vector<PlannedRead> reads = plan_reads(slices.wanted, 16 * 4096);
  CHECK_EQ(reads.size(), size_t{2});
  CHECK_EQ(reads[0].n_bytes(), uint64_t{16 * 4096});
  CHECK_EQ(reads[1].offset, uint64_t{17 * 4096});
  CHECK_EQ(reads[1].needed, uint64_t{100000 - 16 * 4096});
  CHECK(reads[0].slots == reads[1].slots);

  Slices small;
  for (int64_t i = 0; i < 4; ++i) small.add(0, static_cast<uint64_t>(64 + i * 1000), 1000, i);
  reads = plan_reads(small.wanted, 16 * 4096);
  CHECK_EQ(reads.size(), size_t{1});
  CHECK_EQ(reads[0].n_bytes(), uint64_t{4096});
  CHECK_EQ(reads[0].copies.size(), size_t{3});
  CHECK(plan_reads({}, 4096).empty());
}

TEST(a_budget_buys_the_same_slots_in_every_layer) {
  const ExpertBudget budget = spend_expert_budget(1000, 64, 6, 10500);
  CHECK_EQ(budget.slots_per_layer, int64_t{10});
  CHECK_EQ(budget.n_bytes, uint64_t{10000});
  CHECK_EQ(spend_expert_budget(1000, 64, 6, 1 << 30).slots_per_layer, int64_t{64});
  CHECK_EQ(spend_expert_budget(1000, 64, 6, 6000).slots_per_layer, int64_t{6});
  CHECK_THROWS(Error, "expected at least 6000", spend_expert_budget(1000, 64, 6, 5999));
  CHECK_THROWS(Error, "no routed experts", spend_expert_budget(0, 0, 0, 5999));
  // Slices of 5000 bytes at any offset touch up to three pages.
  CHECK_EQ(stacked_layer(0, 32, 5000, 8).slot_bytes(), uint64_t{9 * 4096});
  CHECK_EQ(stacked_layer(0, 4096, 8192, 8).slot_bytes(), uint64_t{6 * 4096});
  CHECK_EQ(stacked_layer(0, 4096, 8192, 8).n_bytes(), uint64_t{8 * 3 * 8192});
}

TEST(a_store_gives_what_the_file_holds) {
  const ByteFile file(1'000'000);
  for (const uint64_t slice_bytes : {uint64_t{33}, uint64_t{1000}, uint64_t{5000}, uint64_t{8192}, uint64_t{20001}})
    for (const int64_t n_slots : {2, 5, 12}) {
      const LayerExperts experts = stacked_layer(1, 160, slice_bytes, 12);
      ExpertStore store({file.path}, {experts}, n_slots, tensor_name);
      CHECK(store.source(0) == nullptr && store.source(2) == nullptr);
      ExpertSource& source = *store.source(1);
      ask(source, experts, {3, 4, 5, 9});
      ask(source, experts, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
      ask(source, experts, {11});
      ask(source, experts, {});
      ask(source, experts, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
      const ExpertStats stats = store.stats();
      CHECK_EQ(stats.hits + stats.misses, uint64_t{4 + 12 + 1 + 12});
      if (n_slots == 12) {
        CHECK_EQ(stats.misses, uint64_t{12});
        CHECK(stats.bytes_read >= 36 * slice_bytes);
        CHECK(stats.read_ms > 0);
      }
    }
}

TEST(hits_and_misses_follow_the_last_use) {
  const ByteFile file(200'000);
  const LayerExperts experts = stacked_layer(0, 0, 4096, 8);
  ExpertStore store({file.path}, {experts}, 3, tensor_name);
  ExpertSource& source = *store.source(0);
  ask(source, experts, {0});
  ask(source, experts, {1});
  ask(source, experts, {2});
  CHECK_EQ(store.stats().misses, uint64_t{3});
  ask(source, experts, {0, 2});
  CHECK_EQ(store.stats().hits, uint64_t{2});
  ask(source, experts, {3});  // in the place of 1
  ask(source, experts, {0, 2, 3});
  CHECK_EQ(store.stats().hits, uint64_t{5});
  ask(source, experts, {1});
  CHECK_EQ(store.stats().misses, uint64_t{5});
  // Neighbours were merged only where they were asked for together; each page was read once.
  CHECK_EQ(store.stats().bytes_read, uint64_t{5 * 3 * 4096});
}

TEST(a_failed_read_ends_the_call_and_leaves_the_store_in_order) {
  const ByteFile file(200'000);
  const LayerExperts experts = stacked_layer(0, 100, 5000, 8);
  ExpertStore store({file.path}, {experts}, 4, tensor_name);
  ExpertSource& source = *store.source(0);
  ask(source, experts, {0, 1});
  // down_proj of expert 3 begins at 100 + (16 + 3) * 5000.
  fs::resize_file(file.path, 98'000);
  CHECK_THROWS(Error, "tensor-with-byte-98000", ask(source, experts, {1, 2, 3}));
  CHECK_THROWS(Error, file.path, ask(source, experts, {6}));
  ask(source, experts, {0, 1});  // still in memory
  std::string rest;
  for (uint64_t i = 98'000; i < 200'000; ++i) rest.push_back(static_cast<char>(byte_at(i)));
  std::ofstream(file.path, std::ios::binary | std::ios::app) << rest;
  ask(source, experts, {0, 1, 2, 3, 4, 5, 6, 7});
}

TEST(a_call_that_is_given_up_does_not_disturb_the_next) {
  const ByteFile file(1'000'000);
  const LayerExperts experts = stacked_layer(0, 7, 20000, 12);
  ExpertStore store({file.path}, {experts}, 4, tensor_name);
  ExpertSource& source = *store.source(0);
  for (int32_t first = 0; first < 8; ++first) {
    std::vector<int32_t> wanted{first, first + 1, first + 2, first + 3}, given(4);
    source.begin(wanted.data(), 4, given.data());
    ask(source, experts, {first, first + 2, 11});
  }
}
