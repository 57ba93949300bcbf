// The only owner of large memory: anonymous pages (mmap, vm_allocate, VirtualAlloc), never
// malloc, because Chromium's allocator inside Electron aborts on allocations of about 1 GiB.
// Memory is zeroed, page aligned and committed on first touch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moebius {

class PageBuffer {
 public:
  PageBuffer() = default;
  // Throws Error(kMemory) with the size asked for when the system refuses.
  explicit PageBuffer(size_t bytes);
  ~PageBuffer();
  PageBuffer(PageBuffer&& other) noexcept;
  PageBuffer& operator=(PageBuffer&& other) noexcept;
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;

  void* data() const { return data_; }
  size_t size() const { return size_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace moebius
