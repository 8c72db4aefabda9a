#include "app/errors.hpp"

#include <cstdio>
#include <new>

namespace ferula {

Failure failure_of(const std::exception_ptr& error) noexcept try {
  std::rethrow_exception(error);
} catch (const Error& known) {
  return {known.what(), known.code()};
} catch (const std::bad_alloc&) {
  return {"out of memory on the host: use a smaller batch or model, or more ranks on more nodes",
          ExitCode::does_not_fit};
} catch (const std::exception& other) {
  return {other.what(), ExitCode::failed};
} catch (...) {
  return {"an exception of unknown type", ExitCode::failed};
}

void announce(const Failure& failure) noexcept {
  const std::size_t end = failure.message.find_last_not_of('\n') + 1;
  std::fprintf(stderr, "error: %.*s\n", static_cast<int>(end), failure.message.c_str());
  std::fflush(stderr);
}

}  // namespace ferula
