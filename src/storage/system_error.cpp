#include "storage/system_error.hpp"

#include <cerrno>
#include <system_error>

#include "storage/file_system.hpp"

namespace ferula {

namespace {

/// What to do about an errno; empty where its name says it all or its exception does.
std::string_view advice_for(int code) {
  switch (code) {
    case EACCES:
    case EPERM:
      return "; have the permission given (`ls -ld` shows who has it), or use another place";
    case EROFS:
      return "; nothing can be written there: use another place";
    case EMFILE:
    case ENFILE:
      return "; raise the limit of open files (`ulimit -n`)";
    default:
      return "";
  }
}

}  // namespace

bool is_full(int code) { return code == ENOSPC || code == EDQUOT || code == EFBIG; }

std::string system_error_text(int code, const std::string& path, std::string_view action) {
  return fmt::format("{}: cannot {}: {}{}", path, action, std::generic_category().message(code), advice_for(code));
}

void throw_system_error(int code, const std::string& path, std::string_view action) {
  const std::string text = system_error_text(code, path, action);
  if (is_full(code))
    throw CapacityError(
        text + "; free space there, raise the quota (`ulimit -f` for a file too large), or write to a larger disk");
  if (code == ENOENT || code == ENOTDIR) throw DamageError(text);
  throw DeviceError(text);
}

}  // namespace ferula
