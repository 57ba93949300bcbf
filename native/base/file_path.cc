#include "base/file_path.h"

#include <algorithm>

#if defined(_WIN32)
#include "base/windows_api.h"
#endif

namespace moebius {

#if defined(_WIN32)

namespace {

std::wstring wide_text(const std::string& utf8) {
  const int bytes = static_cast<int>(utf8.size());
  const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8.data(), bytes, nullptr, 0);
  std::wstring text(static_cast<size_t>(std::max(length, 0)), L'\0');
  if (length > 0) MultiByteToWideChar(CP_UTF8, 0, utf8.data(), bytes, text.data(), length);
  return text;
}

std::string utf8_text(const wchar_t* text, int length) {
  const int bytes = WideCharToMultiByte(CP_UTF8, 0, text, length, nullptr, 0, nullptr, nullptr);
  std::string utf8(static_cast<size_t>(std::max(bytes, 0)), '\0');
  if (bytes > 0) WideCharToMultiByte(CP_UTF8, 0, text, length, utf8.data(), bytes, nullptr, nullptr);
  return utf8;
}

// Absolute, with backslashes and without dots: what the prefix demands.
std::wstring full_path(const std::wstring& path) {
  std::wstring full(GetFullPathNameW(path.c_str(), 0, nullptr, nullptr), L'\0');
  full.resize(GetFullPathNameW(path.c_str(), static_cast<DWORD>(full.size()), full.data(), nullptr));
  return full;
}

}  // namespace

std::filesystem::path file_path(const std::string& utf8) {
  // The limit for folders; it leaves room for an ending like ".partial".
  constexpr size_t kSafeLength = 247;
  const std::wstring path = wide_text(utf8), prefix = L"\\\\?\\";
  if (path.size() < kSafeLength || path.starts_with(prefix)) return path;
  const std::wstring full = full_path(path);
  if (full.starts_with(prefix)) return full;
  return full.starts_with(L"\\\\") ? prefix + L"UNC\\" + full.substr(2) : prefix + full;
}

std::string system_message(const std::error_code& error) {
  if (error.category() != std::system_category()) return error.message();
  wchar_t text[512];
  DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr,
                                static_cast<DWORD>(error.value()), 0, text, 512, nullptr);
  while (length > 0 && (text[length - 1] == L'\n' || text[length - 1] == L'\r' || text[length - 1] == L' ')) --length;
  return length > 0 ? utf8_text(text, static_cast<int>(length)) : "error " + std::to_string(error.value());
}

#else

std::filesystem::path file_path(const std::string& utf8) { return utf8; }

std::string system_message(const std::error_code& error) { return error.message(); }

#endif

}  // namespace moebius
