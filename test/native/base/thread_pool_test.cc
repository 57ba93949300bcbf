#include "base/thread_pool.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "native/test.h"

using namespace moebius;

TEST(pool_runs_each_worker_once) {
  for (const int n_threads : {1, 2, 3, 8}) {
    ThreadPool pool(n_threads);
    CHECK_EQ(pool.size(), n_threads);
    std::vector<int> calls(static_cast<size_t>(n_threads), 0);
    for (int round = 0; round < 50; ++round) pool.run([&](int worker) { ++calls[static_cast<size_t>(worker)]; });
    for (const int count : calls) CHECK_EQ(count, 50);
  }
}

TEST(pool_zero_means_physical_cores) {
  ThreadPool pool(0);
  CHECK_EQ(pool.size(), physical_core_count());
  CHECK(physical_core_count() >= 1);
  CHECK(physical_core_count() <= usable_cpu_count());
}

TEST(pool_rejects_absurd_counts) {
  CHECK_THROWS(Error, "thread count -1", ThreadPool(-1));
  CHECK_THROWS(Error, "thread count 100000", ThreadPool(100000));
}

// The cuts depend on n and grain alone.
static std::set<std::pair<int64_t, int64_t>> chunks_of(int n_threads, int64_t n, int64_t grain) {
  ThreadPool pool(n_threads);
  std::set<std::pair<int64_t, int64_t>> chunks;
  std::mutex mutex;
  pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int worker) {
    std::lock_guard<std::mutex> lock(mutex);
    CHECK(worker >= 0 && worker < n_threads);
    CHECK(chunks.insert({begin, end}).second);
  });
  return chunks;
}

TEST(parallel_for_cuts_by_size_only) {
  for (const auto& [n, grain] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 4}, {1, 4}, {4, 4}, {5, 4}, {1000, 7}, {100, 1}, {3, 0}}) {
    const auto expected = chunks_of(1, n, grain);
    int64_t covered = 0;
    for (const auto& [begin, end] : expected) {
      CHECK_EQ(begin, covered);
      covered = end;
    }
    CHECK_EQ(covered, n);
    for (const int n_threads : {2, 5}) CHECK(chunks_of(n_threads, n, grain) == expected);
  }
}

TEST(parallel_for_gives_every_worker_a_run_of_its_own) {
  constexpr int kThreads = 4;
  ThreadPool pool(kThreads);
  std::atomic<int> entered{0};
  std::vector<int64_t> first(kThreads, -1);
  pool.parallel_for(100, 1, [&](int64_t begin, int64_t, int worker) {
    int64_t& own = first[static_cast<size_t>(worker)];
    if (own >= 0) return;
    own = begin;
    // Nobody goes on to others' chunks before everybody has begun with his own.
    for (++entered; entered.load() < kThreads;) std::this_thread::yield();
  });
  CHECK(first == (std::vector<int64_t>{0, 25, 50, 75}));
}

TEST(parallel_for_takes_over_from_a_slow_worker) {
  ThreadPool pool(3);
  std::atomic<int> done{0};
  std::vector<int> calls(90, 0);
  pool.parallel_for(90, 1, [&](int64_t begin, int64_t, int) {
    ++calls[static_cast<size_t>(begin)];
    // The first chunk ends when all others are done, those dealt to the same worker too.
    if (begin == 0)
      while (done.load() < 89) std::this_thread::yield();
    ++done;
  });
  CHECK(calls == std::vector<int>(90, 1));
}

TEST(parallel_for_results_do_not_depend_on_threads) {
  const auto sums = [](int n_threads) {
    ThreadPool pool(n_threads);
    std::vector<float> out(257);
    pool.parallel_for(257, 3, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        float sum = 0;
        for (int j = 1; j < 400; ++j) sum += 1.0f / static_cast<float>(i + j);
        out[static_cast<size_t>(i)] = sum;
      }
    });
    return out;
  };
  CHECK(sums(1) == sums(4));
}

TEST(pool_rethrows_and_stays_usable) {
  ThreadPool pool(4);
  for (int round = 0; round < 20; ++round) {
    const int thrower = round % 4;
    CHECK_THROWS(std::runtime_error, "worker said no", pool.run([&](int worker) {
      if (worker == thrower) throw std::runtime_error("worker said no");
    }));
    CHECK_THROWS(Error, "chunk 17", pool.parallel_for(100, 1, [](int64_t begin, int64_t, int) {
      if (begin == 17) throw Error(ErrorCode::kInternal, "chunk 17");
    }));
    std::atomic<int> count{0};
    pool.parallel_for(100, 1, [&](int64_t, int64_t, int) { ++count; });
    CHECK_EQ(count.load(), 100);
  }
}

TEST(pool_refuses_nested_jobs) {
  ThreadPool pool(2);
  CHECK_THROWS(Error, "while another one runs", pool.run([&](int worker) {
    if (worker == 0) pool.run([](int) {});
  }));
}

TEST(pool_survives_many_short_jobs) {
  ThreadPool pool(3);
  int64_t total = 0;
  std::vector<int64_t> partial(3);
  for (int round = 0; round < 20000; ++round) {
    pool.run([&](int worker) { partial[static_cast<size_t>(worker)] = round + worker; });
    total += partial[0] + partial[1] + partial[2];
  }
  CHECK_EQ(total, 3 * (int64_t{20000} * 19999 / 2) + 3 * 20000);
}

TEST(pools_come_and_go) {
  for (int round = 0; round < 100; ++round) {
    ThreadPool pool(1 + round % 4);
    std::atomic<int> count{0};
    if (round % 2 == 0) pool.run([&](int) { ++count; });
    CHECK(count.load() == (round % 2 == 0 ? pool.size() : 0));
  }
}
