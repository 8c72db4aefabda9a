#include "app/errors.hpp"

#include <cstdio>

namespace ferula {

void announce(const Failure& failure) noexcept {
  const std::size_t end = failure.message.find_last_not_of('\n') + 1;
  std::fprintf(stderr, "error: %.*s\n", static_cast<int>(end), failure.message.c_str());
  std::fflush(stderr);
}

}  // namespace ferula
