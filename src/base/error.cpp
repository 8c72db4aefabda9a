#include "base/error.hpp"

namespace ferula::detail {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw Error(fmt::format("internal error at {}:{}: expected {}{}{}; please report this with the command and its log",
                          file, line, condition, message.empty() ? "" : ": ", message));
}

}  // namespace ferula::detail
