#include "storage/system_error.hpp"

#include <cerrno>
#include <system_error>

#include "storage/file_system.hpp"

namespace ferula {

bool is_full(int code) { return code == ENOSPC || code == EDQUOT || code == EFBIG; }

void throw_system_error(int code, const std::string& path, std::string_view action) {
  const std::string text = fmt::format("{}: cannot {}: {}", path, action, std::generic_category().message(code));
  if (is_full(code))
    throw CapacityError(
        text + "; free space there, raise the quota (`ulimit -f` for a file too large), or write to a larger disk");
  if (code == ENOENT || code == ENOTDIR) throw DamageError(text);
  throw DeviceError(text);
}

}  // namespace ferula
