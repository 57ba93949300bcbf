// Paths and messages on their way to and from the operating system. The engine holds both in
// UTF-8; only Windows wants something else.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

namespace moebius {

// The path as the system takes it. On Windows a path too long for the old limit of 260
// characters becomes absolute with the prefix that lifts it.
std::filesystem::path file_path(const std::string& utf8);

// What the system says about an error, in UTF-8. Windows answers in the user's language.
std::string system_message(const std::error_code& error);

}  // namespace moebius
