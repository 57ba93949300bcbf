// A snapshot file: header, tokens, the rows of every cache array in order, and the positions
// that the MTP layer's rows were made of.
//   "MBSN" u32 version | u32 header bytes | identity, layout, cache format as text
//   u64 n_tokens | u32 n_arrays | u64 row bytes each | i32 tokens | rows
//   u64 n_draft_rows | i32 position each | u64 checksum
// All little-endian. The checksum is over everything before it; it finds damage, while a
// forged file can at worst restore wrong numbers: every size is checked against the session.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file_path.h"
#include "base/mapped_file.h"
#include "engine/model_state.h"
#include "engine/step.h"

namespace moebius {

namespace {

constexpr char kMagic[4] = {'M', 'B', 'S', 'N'};
constexpr uint32_t kLayoutVersion = 2;

// FNV-1a over 64-bit words.
class Checksum {
 public:
  void add(const void* data, size_t bytes) {
    const uint8_t* at = static_cast<const uint8_t*>(data);
    for (; bytes >= 8; bytes -= 8, at += 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      mix(word);
    }
    for (; bytes > 0; --bytes, ++at) mix(*at);
  }
  uint64_t value() const { return hash_; }

 private:
  void mix(uint64_t word) { hash_ = (hash_ ^ word) * 0x100000001b3ull; }
  uint64_t hash_ = 0xcbf29ce484222325ull;
};

// Everything but the checksum, in file order, as pieces of memory.
struct Pieces {
  std::string head, tail;
  std::vector<std::pair<const void*, size_t>> parts;
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const auto& part : parts) sum += part.second;
    return sum;
  }
};

template <typename T>
void append(std::string& text, T value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_text(std::string& text, const std::string& value) {
  append(text, static_cast<uint32_t>(value.size()));
  text += value;
}

// What must be equal for rows to be exchangeable; n_tokens follows it.
std::string identity_head(const Session::State& session) {
  std::string body;
  append_text(body, session.model_state().info.identity);
  append_text(body, session.cache->layout());
  append_text(body, cache_format_name(session.cache->format()));
  append(body, static_cast<uint8_t>(
                   session.model_state().decoder.config.uses_long_rope(session.options.max_seq_len)));
  const std::vector<CacheRows*> arrays = session.cache->arrays();
  append(body, static_cast<uint32_t>(arrays.size()));
  for (const CacheRows* rows : arrays) append(body, static_cast<uint64_t>(rows->row_bytes()));
  std::string head(kMagic, sizeof kMagic);
  append(head, kLayoutVersion);
  append(head, static_cast<uint32_t>(body.size()));
  return head + body;
}

Pieces pieces_of(const Session::State& session) {
  Pieces pieces;
  pieces.head = identity_head(session);
  append(pieces.head, static_cast<uint64_t>(session.tokens.size()));
  pieces.parts.emplace_back(pieces.head.data(), pieces.head.size());
  pieces.parts.emplace_back(session.tokens.data(), session.tokens.size() * sizeof(int32_t));
  for (const CacheRows* rows : session.cache->arrays())
    pieces.parts.emplace_back(rows->data(), rows->row_bytes() * session.tokens.size());
  // The layer may be a row ahead of the tokens: that row's token is not evaluated yet.
  for (const int32_t position : session.drafts.positions())
    if (position + 1 < session.position()) append(pieces.tail, position);
  const uint64_t n_rows = pieces.tail.size() / sizeof(int32_t);
  pieces.tail.insert(0, reinterpret_cast<const char*>(&n_rows), sizeof n_rows);
  pieces.parts.emplace_back(pieces.tail.data(), pieces.tail.size());
  return pieces;
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kGguf, format_text("snapshot %s: %s", path.c_str(), why.c_str()),
              "Start the conversation again; the text itself is not lost.");
}

// What a file holds whose every size fits the session; `rows` is where its rows begin.
struct Contents {
  std::vector<int32_t> tokens, draft_positions;
  const uint8_t* rows;
};

// [begin, end of file) without the checksum: the MTP layer's rows.
std::vector<int32_t> checked_draft_positions(const MappedFile& file, uint64_t begin, uint64_t n_tokens) {
  uint64_t n_rows = 0;
  if (begin + 2 * sizeof(uint64_t) <= file.size()) std::memcpy(&n_rows, file.data() + begin, sizeof n_rows);
  const uint64_t n_bytes = begin + 2 * sizeof(uint64_t) + std::min(n_rows, n_tokens) * sizeof(int32_t);
  if (file.size() != n_bytes || n_rows > n_tokens)
    refuse(file.path(), format_text("expected %llu bytes, got %zu", static_cast<unsigned long long>(n_bytes), file.size()));
  std::vector<int32_t> positions(n_rows);
  if (n_rows > 0) std::memcpy(positions.data(), file.data() + begin + sizeof n_rows, n_rows * sizeof(int32_t));
  for (size_t i = 0; i < positions.size(); ++i)
    if (positions[i] < 0 || positions[i] >= static_cast<int64_t>(n_tokens) ||
        (i > 0 && positions[i] <= positions[i - 1]))
      refuse(file.path(), "its draft rows are out of order");
  return positions;
}

Contents checked_contents(const Session::State& session, const MappedFile& file) {
  const std::string& path = file.path();
  const std::string expected = identity_head(session);
  const uint64_t fixed = expected.size() + sizeof(uint64_t);
  if (file.size() < 12 || std::memcmp(file.data(), kMagic, sizeof kMagic) != 0)
    refuse(path, "this is no snapshot");
  uint32_t version;
  std::memcpy(&version, file.data() + 4, sizeof version);
  if (version != kLayoutVersion)
    refuse(path, format_text("expected layout version %u, got %u", kLayoutVersion, version));
  if (file.size() < fixed + sizeof(uint64_t) ||
      std::memcmp(file.data(), expected.data(), expected.size()) != 0)
    refuse(path, "it belongs to another model, cache format or context length");
  uint64_t n_tokens;
  std::memcpy(&n_tokens, file.data() + expected.size(), sizeof n_tokens);
  if (n_tokens > static_cast<uint64_t>(session.options.max_seq_len))
    refuse(path, format_text("its %llu tokens do not fit a context length of %lld",
                             static_cast<unsigned long long>(n_tokens),
                             static_cast<long long>(session.options.max_seq_len)));
  const uint64_t rows_begin = fixed + n_tokens * sizeof(int32_t);
  const uint64_t rows_end = rows_begin + session.cache->bytes_for(static_cast<int64_t>(n_tokens));
  Contents contents{std::vector<int32_t>(n_tokens), checked_draft_positions(file, rows_end, n_tokens),
                    file.data() + rows_begin};
  if (n_tokens > 0) std::memcpy(contents.tokens.data(), file.data() + fixed, n_tokens * sizeof(int32_t));
  check_token_ids(session.model_state(), contents.tokens);
  return contents;
}

// Summed in the pieces that were written, so that both sides walk the same words.
uint64_t checksum_of(const Session::State& session, const MappedFile& file, uint64_t head_bytes,
                     const Contents& contents) {
  const uint64_t n_tokens = contents.tokens.size();
  Checksum checksum;
  const uint8_t* at = file.data();
  const auto take = [&](uint64_t bytes) {
    checksum.add(at, bytes);
    at += bytes;
  };
  take(head_bytes);
  take(n_tokens * sizeof(int32_t));
  for (const CacheRows* rows : session.cache->arrays()) take(rows->row_bytes() * n_tokens);
  take(sizeof(uint64_t) + contents.draft_positions.size() * sizeof(int32_t));
  return checksum.value();
}

}  // namespace

void Session::save_snapshot(const std::string& path) const {
  const SessionUse use(*state_);
  const Pieces pieces = pieces_of(*state_);
  const std::filesystem::path target = file_path(path), partial = file_path(path + ".partial");
  Checksum checksum;
  {
    std::ofstream out(partial, std::ios::binary | std::ios::trunc);
    for (const auto& [data, bytes] : pieces.parts) {
      checksum.add(data, bytes);
      out.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    }
    const uint64_t sum = checksum.value();
    out.write(reinterpret_cast<const char*>(&sum), sizeof sum);
    out.close();
    if (!out) {
      std::error_code ignored;
      std::filesystem::remove(partial, ignored);
      throw Error(ErrorCode::kIo, format_text("cannot write snapshot %s (%llu bytes)", path.c_str(),
                                              static_cast<unsigned long long>(pieces.bytes())));
    }
  }
  std::error_code error;
  std::filesystem::rename(partial, target, error);
  if (!error) return;
  const std::string reason = system_message(error);
  std::filesystem::remove(partial, error);
  throw Error(ErrorCode::kIo, format_text("cannot write snapshot %s: %s", path.c_str(), reason.c_str()));
}

void Session::restore_snapshot(const std::string& path) {
  State& session = *state_;
  const SessionUse use(session);
  const MappedFile file(path);
  Contents contents = checked_contents(session, file);
  const uint64_t head_bytes = identity_head(session).size() + sizeof(uint64_t);
  uint64_t stored;
  std::memcpy(&stored, file.data() + file.size() - sizeof stored, sizeof stored);
  if (stored != checksum_of(session, file, head_bytes, contents))
    refuse(path, "its checksum is wrong: the file is damaged");
  for (CacheRows* array : session.cache->arrays()) {
    const size_t bytes = array->row_bytes() * contents.tokens.size();
    if (bytes > 0) std::memcpy(array->row(0), contents.rows, bytes);
    contents.rows += bytes;
  }
  session.set_tokens(std::move(contents.tokens));
  session.drafts.set_positions(std::move(contents.draft_positions));
}

}  // namespace moebius
