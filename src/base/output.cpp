#include "base/output.hpp"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/error.hpp"

namespace ferula {

void check_output(int reason) {
  if (reason == 0 || reason == EPIPE) return;
  const std::string told = fmt::format("cannot write the output: {}", std::generic_category().message(reason));
  if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG) throw CapacityError(told);
  throw DeviceError(told);
}

void write_output(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (std::fflush(stdout) != 0 || !written) check_output(errno != 0 ? errno : EIO);
}

}  // namespace ferula
