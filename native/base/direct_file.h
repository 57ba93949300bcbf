// A file read in explicit pieces past the system's page cache: what is read takes memory once,
// in the caller's pages, and never pushes mapped weights out. Where the file system refuses
// direct reads they go through the cache. Thread-safe: reads carry their own position.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace moebius {

// Offsets, segments and their addresses are multiples of this.
inline constexpr uint64_t kDirectPage = 4096;

struct ReadSegment {
  uint8_t* to = nullptr;
  size_t bytes = 0;
};

struct ReadResult {
  uint64_t bytes = 0;    // read before the end of the file or the failure
  int system_error = 0;  // 0 = none: fewer bytes than asked for mean the end of the file
};

class DirectFile {
 public:
  // path is UTF-8. Throws Error(kIo) naming the path and the system's reason.
  explicit DirectFile(const std::string& path);
  ~DirectFile();
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;

  // Fills the segments one after another from `offset` on and stops once `needed` bytes are
  // there; the last page of a file is seldom whole. The segments are consumed.
  ReadResult read(uint64_t offset, std::span<ReadSegment> segments, uint64_t needed) const;

  uint64_t size() const { return size_; }  // when it was opened
  const std::string& path() const { return path_; }
  // False once the file system refused direct reads.
  bool is_direct() const { return direct_.load(std::memory_order_relaxed); }

 private:
  std::string path_;
  uint64_t size_ = 0;
  mutable std::atomic<bool> direct_{false};
#ifdef _WIN32
  void* file_ = nullptr;
  void* direct_file_ = nullptr;
#else
  int file_ = -1;
  int direct_file_ = -1;  // without the cache, where there is such a thing
#endif
};

// "Input/output error"
std::string system_error_text(int system_error);

}  // namespace moebius
