#include "base/tile_permission.h"

#if defined(_WIN32)
#include "base/windows_api.h"
#elif defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

namespace moebius {

namespace {

#if defined(_WIN32)
// Without the call threads get the registers at first use; with it the refusal is known now.
// Systems before Windows 11 lack the function, and then XCR0 lacks the registers too.
std::string request() {
  using Enable = BOOL(WINAPI*)(DWORD64 features);
  constexpr DWORD64 kTileStates = (DWORD64{1} << 17) | (DWORD64{1} << 18);
  const HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
  if (kernel == nullptr) return "";
  const FARPROC found = GetProcAddress(kernel, "EnableProcessOptionalXStateFeatures");
  if (found == nullptr) return "";
  if (reinterpret_cast<Enable>(reinterpret_cast<void*>(found))(kTileStates)) return "";
  return "Windows refused the tile registers (error " + std::to_string(GetLastError()) + ")";
}
#elif defined(__linux__) && defined(__x86_64__)
// Documentation/arch/x86/xstate.rst, from Linux 5.16 on. It fails where a thread has a signal
// stack too small for the registers.
std::string request() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0) return "";
  return std::string("Linux refused the tile registers (") + std::strerror(errno) + ")";
}
#else
std::string request() { return "this system has no way to ask for the tile registers"; }
#endif

}  // namespace

const std::string& request_tile_registers() {
  static const std::string refusal = request();
  return refusal;
}

}  // namespace moebius
