#include "base/page_buffer.h"

#include <string>
#include <utility>

#include "base/error.h"

#if defined(_WIN32)
#include "base/windows_api.h"
#else
#include <sys/mman.h>
#endif

namespace moebius {

namespace {

#if !defined(_WIN32)
// Large pages where the system has them: caches and temporaries are read in strides that would
// miss the processor's page tables. Small buffers would only grow.
void prefer_large_pages(void* data, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr size_t kSmallest = size_t{4} << 20;
  if (bytes >= kSmallest) madvise(data, bytes, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}
#endif

void* map_pages(size_t bytes) {
#if defined(_WIN32)
  return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  prefer_large_pages(data, bytes);
  return data;
#endif
}

void unmap_pages(void* data, size_t bytes) {
  if (data == nullptr) return;
#if defined(_WIN32)
  (void)bytes;
  VirtualFree(data, 0, MEM_RELEASE);
#else
  munmap(data, bytes);
#endif
}

}  // namespace

PageBuffer::PageBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  data_ = map_pages(bytes);
  if (data_ == nullptr)
    throw Error(ErrorCode::kMemory,
                format_text("the system refused %zu bytes of memory (%.1f GiB)", bytes,
                            static_cast<double>(bytes) / (1024.0 * 1024.0 * 1024.0)),
                "Choose a smaller context length or a smaller model, or close other programs.");
}

PageBuffer::~PageBuffer() { unmap_pages(data_, size_); }

PageBuffer::PageBuffer(PageBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
  if (this == &other) return *this;
  unmap_pages(data_, size_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

}  // namespace moebius
