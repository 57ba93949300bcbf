#include "base/mapped_file.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/file_path.h"

#if defined(_WIN32)
#include "base/windows_api.h"
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace moebius {

namespace {

[[noreturn]] void fail(const std::string& path, const char* action, int system_error) {
  throw Error(ErrorCode::kIo, std::string("could not ") + action + " " + path + ": " +
                                  system_message({system_error, std::system_category()}));
}

// For systems that cannot fill page tables themselves: one byte of every page.
void touch_pages(const uint8_t* begin, const uint8_t* end, size_t page) {
  volatile uint8_t sink = 0;
  for (const uint8_t* at = begin; at < end; at += page) sink = static_cast<uint8_t>(sink ^ *at);
}

}  // namespace

#if defined(_WIN32)

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const std::wstring name = file_path(path).wstring();
  file_ = CreateFileW(name.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file_ == INVALID_HANDLE_VALUE) {
    const int reason = static_cast<int>(GetLastError());
    const DWORD attributes = GetFileAttributesW(name.c_str());
    // Windows refuses access to a folder, which says little.
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0)
      throw Error(ErrorCode::kIo, "could not read " + path + ": it is a folder");
    fail(path, "open", reason);
  }
  LARGE_INTEGER size;
  const bool measured = GetFileSizeEx(file_, &size);
  if (measured && size.QuadPart == 0) return;
  if (measured) mapping_ = CreateFileMappingW(file_, nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (mapping_ != nullptr)
    data_ = static_cast<const uint8_t*>(MapViewOfFile(mapping_, FILE_MAP_READ, 0, 0, 0));
  if (data_ == nullptr) {
    const int reason = static_cast<int>(GetLastError());
    if (mapping_ != nullptr) CloseHandle(mapping_);
    CloseHandle(file_);
    fail(path, "map", reason);
  }
  size_ = static_cast<size_t>(size.QuadPart);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
  if (mapping_ != nullptr) CloseHandle(mapping_);
  if (file_ != nullptr) CloseHandle(file_);
}

void MappedFile::prefetch(size_t offset, size_t bytes) const {
  if (offset >= size_) return;
  WIN32_MEMORY_RANGE_ENTRY range{const_cast<uint8_t*>(data_) + offset, std::min(bytes, size_ - offset)};
  PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

void MappedFile::prefer_large_pages(size_t, size_t) const {}  // Not for mapped files.

void MappedFile::populate(size_t offset, size_t bytes) const {
  constexpr size_t kPage = 4096;
  if (offset >= size_) return;
  prefetch(offset, bytes);
  touch_pages(data_ + offset / kPage * kPage, data_ + offset + std::min(bytes, size_ - offset), kPage);
}

#else

namespace {

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

#if defined(__linux__)
constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, Linux 5.14

// False where the kernel is older. A part that cannot be read is an error here, while touching
// it would end the process.
bool populate_pages(const std::string& path, uint8_t* begin, size_t bytes) {
  while (madvise(begin, bytes, kPopulateRead) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EINVAL) return false;
    fail(path, "read", errno == EFAULT ? EIO : errno);
  }
  return true;
}
#endif

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(path, "open", errno);
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    const int reason = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    close(file);
    fail(path, "read", reason);
  }
  size_ = static_cast<size_t>(status.st_size);
  void* data = nullptr;
  if (size_ > 0) data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
  const int reason = errno;
  close(file);  // The mapping keeps the file alive.
  if (data == MAP_FAILED) fail(path, "map", reason);
  data_ = static_cast<const uint8_t*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

void MappedFile::prefetch(size_t offset, size_t bytes) const {
  if (offset >= size_ || bytes == 0) return;
  const size_t begin = offset / page_bytes() * page_bytes();
  const size_t end = offset + std::min(bytes, size_ - offset);
  madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_WILLNEED);
}

void MappedFile::prefer_large_pages(size_t offset, size_t bytes) const {
#if defined(MADV_HUGEPAGE)
  if (offset >= size_ || bytes == 0) return;
  const size_t begin = offset / page_bytes() * page_bytes();
  const size_t end = offset + std::min(bytes, size_ - offset);
  madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_HUGEPAGE);
#else
  (void)offset, (void)bytes;
#endif
}

void MappedFile::populate(size_t offset, size_t bytes) const {
  if (offset >= size_ || bytes == 0) return;
  const size_t begin = offset / page_bytes() * page_bytes();
  const size_t end = offset + std::min(bytes, size_ - offset);
#if defined(__linux__)
  if (populate_pages(path_, const_cast<uint8_t*>(data_) + begin, end - begin)) return;
#endif
  prefetch(offset, bytes);
  touch_pages(data_ + begin, data_ + end, page_bytes());
}

#endif

}  // namespace moebius
