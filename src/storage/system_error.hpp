// Errors of the operating system as exceptions that say what to do.
#pragma once

#include <string>
#include <string_view>

namespace ferula {

/// Whether this errno says that a disk, a quota or the largest allowed file is full.
bool is_full(int code);
/// "`path`: cannot `action`: reason; what to do". `code`: an errno.
std::string system_error_text(int code, const std::string& path, std::string_view action);
/// Throws CapacityError for what is full, DamageError for what is missing, DeviceError for anything else:
/// the text above.
[[noreturn]] void throw_system_error(int code, const std::string& path, std::string_view action);

}  // namespace ferula
