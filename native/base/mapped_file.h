// A file mapped read-only and shared. Resident memory grows with the pages touched, not
// with the file's size. Lives as long as the last tensor that points into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace moebius {

class MappedFile {
 public:
  // path is UTF-8. Throws Error(kIo) naming the path and the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // Asks the system to read [offset, offset + bytes) ahead; never blocks.
  void prefetch(size_t offset, size_t bytes) const;

  // For parts that will be read as a whole: asks for the largest pages the file can have, so
  // that reading them later costs fewer address translations. A wish, never an error.
  void prefer_large_pages(size_t offset, size_t bytes) const;

  // Reads [offset, offset + bytes) in and maps it, so that no later access waits for the disk.
  // Blocks. Any thread. Throws Error(kIo) when the file cannot be read.
  void populate(size_t offset, size_t bytes) const;

 private:
  std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
#ifdef _WIN32
  void* file_ = nullptr;
  void* mapping_ = nullptr;
#endif
};

}  // namespace moebius
