#include "base/direct_file.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/file_path.h"

#if defined(_WIN32)
#include "base/windows_api.h"
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace moebius {

namespace {

// Drops the first n bytes of the segments.
std::span<ReadSegment> behind(std::span<ReadSegment> segments, size_t n) {
  while (n > 0 && n >= segments.front().bytes) {
    n -= segments.front().bytes;
    segments = segments.subspan(1);
  }
  if (n > 0) {
    segments.front().to += n;
    segments.front().bytes -= n;
  }
  return segments;
}

}  // namespace

std::string system_error_text(int system_error) { return system_message({system_error, std::system_category()}); }

#if defined(_WIN32)

namespace {

HANDLE open_file(const std::string& path, DWORD flags) {
  return CreateFileW(file_path(path).c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, flags, nullptr);
}

// One segment, as much of it as there is; -1 with GetLastError().
int64_t read_some(HANDLE file, std::span<const ReadSegment> segments, uint64_t offset) {
  OVERLAPPED at{};
  at.Offset = static_cast<DWORD>(offset);
  at.OffsetHigh = static_cast<DWORD>(offset >> 32);
  DWORD n = 0;
  const auto wanted = static_cast<DWORD>(std::min<size_t>(segments.front().bytes, size_t{1} << 30));
  if (ReadFile(file, segments.front().to, wanted, &n, &at)) return n;
  return GetLastError() == ERROR_HANDLE_EOF ? 0 : -1;
}

int last_error() { return static_cast<int>(GetLastError()); }
bool is_refused(int error) { return error == ERROR_INVALID_PARAMETER; }

}  // namespace

DirectFile::DirectFile(const std::string& path) : path_(path) {
  file_ = open_file(path, FILE_ATTRIBUTE_NORMAL);
  LARGE_INTEGER size{};
  if (file_ == INVALID_HANDLE_VALUE || !GetFileSizeEx(file_, &size)) {
    const int reason = last_error();
    if (file_ != INVALID_HANDLE_VALUE) CloseHandle(file_);
    throw Error(ErrorCode::kIo, "could not open " + path + ": " + system_error_text(reason));
  }
  size_ = static_cast<uint64_t>(size.QuadPart);
  direct_file_ = open_file(path, FILE_FLAG_NO_BUFFERING);
  if (direct_file_ == INVALID_HANDLE_VALUE) direct_file_ = nullptr;
  direct_ = direct_file_ != nullptr;
}

DirectFile::~DirectFile() {
  CloseHandle(file_);
  if (direct_file_ != nullptr) CloseHandle(direct_file_);
}

#else

namespace {

int64_t read_some(int file, std::span<const ReadSegment> segments, uint64_t offset) {
  constexpr size_t kMostSegments = 256;  // within every system's IOV_MAX
  struct iovec vectors[kMostSegments];
  const size_t n = std::min(segments.size(), kMostSegments);
  for (size_t i = 0; i < n; ++i) vectors[i] = {segments[i].to, segments[i].bytes};
  for (;;) {
    const ssize_t got = preadv(file, vectors, static_cast<int>(n), static_cast<off_t>(offset));
    if (got >= 0 || errno != EINTR) return got;
  }
}

int last_error() { return errno; }
bool is_refused(int error) { return error == EINVAL; }

}  // namespace

DirectFile::DirectFile(const std::string& path) : path_(path) {
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file_ < 0 || fstat(file_, &status) != 0) {
    const int reason = errno;
    if (file_ >= 0) close(file_);
    throw Error(ErrorCode::kIo, "could not open " + path + ": " + system_error_text(reason));
  }
  size_ = static_cast<uint64_t>(status.st_size);
#if defined(__APPLE__)
  direct_file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (direct_file_ >= 0) fcntl(direct_file_, F_NOCACHE, 1);
#elif defined(O_DIRECT)
  direct_file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
#endif
  direct_ = direct_file_ >= 0;
}

DirectFile::~DirectFile() {
  close(file_);
  if (direct_file_ >= 0) close(direct_file_);
}

#endif

ReadResult DirectFile::read(uint64_t offset, std::span<ReadSegment> segments, uint64_t needed) const {
  ReadResult result;
  while (result.bytes < needed) {
    // A direct read that ended inside a page is continued through the cache.
    const bool direct = is_direct() && result.bytes % kDirectPage == 0;
    const int64_t n = read_some(direct ? direct_file_ : file_, segments, offset + result.bytes);
    if (n == 0) return result;
    if (n < 0) {
      const int reason = last_error();
      if (direct && is_refused(reason)) {
        direct_.store(false, std::memory_order_relaxed);
        continue;
      }
      result.system_error = reason;
      return result;
    }
    result.bytes += static_cast<uint64_t>(n);
    segments = behind(segments, static_cast<size_t>(n));
  }
  return result;
}

}  // namespace moebius
