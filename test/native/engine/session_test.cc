// One timeline: chunking, threads, batches, prefixes, snapshots, shifts and limits.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "engine/model_cases.h"
#include "engine/step.h"

using namespace moebius;
using namespace moebius::test;

namespace {

const std::vector<int32_t>& long_prompt(const Golden& golden) { return golden.sequences().at("s96"); }

struct Loaded {
  std::unique_ptr<Golden> golden;
  std::shared_ptr<Model> model;
};

Loaded load(const std::string& name, bool exact = true, int n_threads = 1) {
  Loaded loaded{open_golden(name), nullptr};
  if (loaded.golden != nullptr) loaded.model = load_golden(*loaded.golden, exact, n_threads);
  return loaded;
}

// An MLA model, a GQA one, windows, and sinks.
const char* const kFamilies[] = {"deepseek2-v3", "qwen3moe", "gemma3", "gpt-oss"};

std::vector<float> decode_row(const std::shared_ptr<Session>& session, int32_t token) {
  return flat(session->evaluate({&token, 1}));
}

std::string temporary_file(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::string("moebius-test-") + name)).string();
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST(chunk_sizes_agree) {
  for (const char* name : kFamilies) {
    const Loaded loaded = load(name);
    if (loaded.model == nullptr) continue;
    const std::vector<float> reference =
        flat(all_logits(*open_session(loaded.model), long_prompt(*loaded.golden)));
    for (const int64_t chunk : {1, 7, 64}) {
      const std::vector<float> got =
          flat(all_logits(*open_session(loaded.model, chunk), long_prompt(*loaded.golden)));
      CHECK_NEAR(nmse(got, reference), 0, 1e-9);
    }
  }
}

TEST(threads_change_no_bit) {
  for (const bool exact : {true, false}) {
    for (const char* name : {"deepseek2-v3-q.Q4_K_M", "qwen3moe-q.Q2_K"}) {
      const Loaded one = load(name, exact, 1);
      if (one.model == nullptr) continue;
      const std::shared_ptr<Session> base = open_session(one.model, 64);
      const std::vector<float> reference = flat(all_logits(*base, long_prompt(*one.golden)));
      const std::vector<float> reference_next = decode_row(base, 5);
      for (const int n_threads : {2, 3}) {
        const std::shared_ptr<Session> session = open_session(load(name, exact, n_threads).model, 64);
        CHECK(flat(all_logits(*session, long_prompt(*one.golden))) == reference);
        CHECK(decode_row(session, 5) == reference_next);
      }
    }
  }
}

// The same forms behind histories of every awkward length.
TEST(mla_absorbed_equals_expanded) {
  for (const char* name : {"deepseek2-v2", "deepseek2-v3", "deepseek2-legacy"}) {
    const Loaded loaded = load(name);
    if (loaded.model == nullptr) continue;
    const std::vector<int32_t>& tokens = long_prompt(*loaded.golden);
    const auto golden = loaded.golden->array("s96.logits").f32();
    const size_t width = static_cast<size_t>(loaded.model->info().vocab_size);
    for (const size_t history : {0u, 1u, 63u, 64u, 65u}) {
      for (const MlaForm form : {MlaForm::kAbsorbed, MlaForm::kExpanded}) {
        const std::shared_ptr<Session> session = open_session(loaded.model);
        const std::span<const int32_t> all(tokens);
        all_logits(*session, all.first(history), form);
        const std::vector<float> got = flat(all_logits(*session, all.subspan(history), form));
        CHECK_NEAR(nmse(got, golden.subspan(history * width)), 0, 1e-9);
      }
    }
  }
}

TEST(a_row_alone_equals_a_row_in_a_batch) {
  for (const bool exact : {true, false}) {
    for (const char* name :
         {"deepseek2-v3", "deepseek2-v3-q.Q4_K_M", "qwen3moe-q.Q2_K", "gemma3", "gpt-oss"}) {
      const Loaded loaded = load(name, exact);
      if (loaded.model == nullptr) continue;
      const std::vector<int32_t>& tokens = long_prompt(*loaded.golden);
      const size_t width = static_cast<size_t>(loaded.model->info().vocab_size);
      constexpr size_t kRows = 9;
      std::vector<std::shared_ptr<Session>> sessions;
      std::vector<StepPart> parts;
      std::vector<std::vector<float>> alone;
      for (size_t i = 0; i < kRows; ++i) {
        const std::shared_ptr<Session> session = open_session(loaded.model);
        if (i > 0) session->evaluate({tokens.data(), 3 * i});
        alone.push_back(decode_row(session->fork(static_cast<int64_t>(3 * i)), tokens[40 + i]));
        parts.push_back({&session->state(), {&tokens[40 + i], 1}, WantLogits::kLast});
        sessions.push_back(session);
      }
      std::vector<float> together(kRows * width);
      run_step(loaded.model->state(), parts, {}, together.data());
      for (size_t i = 0; i < kRows; ++i)
        CHECK(std::equal(alone[i].begin(), alone[i].end(),
                         together.begin() + static_cast<std::ptrdiff_t>(i * width)));
    }
  }
}

TEST(truncate_and_fork_continue_bit_for_bit) {
  for (const char* name : kFamilies) {
    const Loaded loaded = load(name);
    if (loaded.model == nullptr) continue;
    const std::span<const int32_t> tokens(long_prompt(*loaded.golden));
    const std::shared_ptr<Session> session = open_session(loaded.model);
    session->evaluate(tokens.first(40));
    const std::shared_ptr<Session> copy = session->fork(40);
    const std::vector<float> expected = decode_row(session, 7);
    CHECK(decode_row(copy, 7) == expected);
    CHECK_EQ(session->common_prefix(tokens), 40);
    session->evaluate(tokens.subspan(60));
    session->truncate(40);
    CHECK(decode_row(session, 7) == expected);
    CHECK_EQ(session->position(), 41);
    CHECK_THROWS(Error, "truncate", session->truncate(42));
  }
}

TEST(snapshots_restore_bit_for_bit) {
  for (const char* name : kFamilies) {
    for (const CacheFormat format : {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kQ8_0}) {
      const Loaded loaded = load(name);
      if (loaded.model == nullptr) continue;
      const std::string path = temporary_file("snapshot.bin");
      const std::shared_ptr<Session> session = open_session(loaded.model, 0, format);
      session->evaluate(long_prompt(*loaded.golden));
      session->save_snapshot(path);
      const std::vector<float> expected = decode_row(session, 9);
      const std::shared_ptr<Session> restored = open_session(load_golden(*loaded.golden), 0, format);
      restored->restore_snapshot(path);
      CHECK(restored->tokens() == long_prompt(*loaded.golden));
      CHECK(decode_row(restored, 9) == expected);
      std::remove(path.c_str());
    }
  }
}

TEST(broken_snapshots_are_refused) {
  const Loaded loaded = load("deepseek2-v3");
  if (loaded.model == nullptr) return;
  const std::string path = temporary_file("broken.bin");
  const std::shared_ptr<Session> session = open_session(loaded.model);
  session->evaluate(long_prompt(*loaded.golden));
  session->save_snapshot(path);
  const std::string good = bytes_of(path);
  const std::shared_ptr<Session> other = open_session(loaded.model);
  other->evaluate({long_prompt(*loaded.golden).data(), 5});

  for (size_t cut = 0; cut < good.size(); cut += good.size() / 97 + 1) {
    write_bytes(path, good.substr(0, cut));
    CHECK_THROWS(Error, "snapshot", other->restore_snapshot(path));
  }
  for (size_t at = 0; at < good.size(); at += good.size() / 211 + 1) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    write_bytes(path, damaged);
    CHECK_THROWS(Error, "snapshot", other->restore_snapshot(path));
  }
  write_bytes(path, good + "x");
  CHECK_THROWS(Error, "bytes", other->restore_snapshot(path));
  write_bytes(path, good);
  const Loaded stranger = load("deepseek2-v2");
  if (stranger.model != nullptr)
    CHECK_THROWS(Error, "another model", open_session(stranger.model)->restore_snapshot(path));
  CHECK_THROWS(Error, "cache format",
               open_session(loaded.model, 0, CacheFormat::kF16)->restore_snapshot(path));
  CHECK_EQ(other->position(), 5);
  std::remove(path.c_str());
  CHECK_THROWS(Error, "", other->restore_snapshot(path));
}

// The kept rows still saw the dropped tokens in deeper layers, so only a one-layer view is
// exact: compare with a session whose keys were written at the new positions directly.
TEST(shift_rotates_keys_to_their_new_positions) {
  for (const char* name : {"deepseek2-v3", "qwen3moe", "gemma3", "gpt-oss", "glm4moe", "llama-tied"}) {
    const Loaded loaded = load(name);
    if (loaded.model == nullptr) continue;
    const std::span<const int32_t> tokens(long_prompt(*loaded.golden));
    const std::shared_ptr<Session> session = open_session(loaded.model);
    session->evaluate(tokens.first(60));
    session->shift(10, 25);
    CHECK_EQ(session->position(), 45);
    std::vector<int32_t> kept(tokens.begin(), tokens.begin() + 10);
    kept.insert(kept.end(), tokens.begin() + 25, tokens.begin() + 60);
    CHECK(session->tokens() == kept);

    // Layer 0's keys depend on token and position alone: they must equal a recompute.
    const std::shared_ptr<Session> fresh = open_session(loaded.model);
    fresh->evaluate(kept);
    const CacheRows& shifted_rows = *session->state().cache->arrays().front();
    const CacheRows& fresh_rows = *fresh->state().cache->arrays().front();
    for (int64_t row = 0; row < 45; ++row) {
      const auto as_floats = [&](const CacheRows& rows) {
        return std::span<const float>(reinterpret_cast<const float*>(rows.row(row)),
                                      static_cast<size_t>(rows.n()));
      };
      CHECK_NEAR(nmse(as_floats(shifted_rows), as_floats(fresh_rows)), 0, 1e-10);
    }
    session->shift(0, 0);
    CHECK_EQ(session->position(), 45);
    CHECK_THROWS(Error, "shift", session->shift(5, 46));
  }
}

TEST(limits_are_never_passed_silently) {
  const Loaded loaded = load("qwen3moe");
  if (loaded.model == nullptr) return;
  SessionOptions options;
  options.max_seq_len = 20;
  const std::shared_ptr<Session> session = Session::create(loaded.model, options);
  const std::span<const int32_t> tokens(long_prompt(*loaded.golden));
  session->evaluate(tokens.first(20));
  CHECK_THROWS(Error, "context length", session->evaluate(tokens.first(1)));
  CHECK_EQ(session->position(), 20);
  const std::vector<int32_t> bad = {1, 2, 100000};
  CHECK_THROWS(Error, "token 2", open_session(loaded.model)->evaluate(bad));
  const std::vector<int32_t> negative = {-1};
  CHECK_THROWS(Error, "token 0", open_session(loaded.model)->evaluate(negative));
  CHECK_EQ(open_session(loaded.model)->evaluate({}).n_rows(), 0);
  options.max_seq_len = loaded.model->info().max_seq_len + 1;
  CHECK_THROWS(Error, "max_seq_len", Session::create(loaded.model, options));
}

TEST(cancelled_step_leaves_the_session_alone) {
  const Loaded loaded = load("deepseek2-v3");
  if (loaded.model == nullptr) return;
  const std::shared_ptr<Session> session = open_session(loaded.model);
  session->evaluate({long_prompt(*loaded.golden).data(), 10});
  const std::vector<float> expected = decode_row(session->fork(10), 3);
  const std::atomic<bool> cancel{true};
  EvaluateOptions options;
  options.cancel = &cancel;
  CHECK_THROWS(Error, "cancelled", session->evaluate(long_prompt(*loaded.golden), options));
  CHECK_EQ(session->position(), 10);
  CHECK(decode_row(session, 3) == expected);
}

TEST(cache_formats_stay_close) {
  for (const char* name : kFamilies) {
    const Loaded loaded = load(name);
    if (loaded.model == nullptr) continue;
    const auto error = [&](CacheFormat format) {
      return median(
          row_errors(all_logits(*open_session(loaded.model, 0, format), long_prompt(*loaded.golden)),
                     loaded.golden->array("s96.logits")));
    };
    CHECK_NEAR(error(CacheFormat::kF16), 0, 1e-5);
    CHECK_NEAR(error(CacheFormat::kBF16), 0, 1e-3);
    CHECK_NEAR(error(CacheFormat::kQ8_0), 0, 1e-3);
  }
}
