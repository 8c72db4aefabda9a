#include "app/errors.hpp"

#include <chrono>
#include <cstdio>
#include <new>
#include <thread>

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

void announce(const Failure& failure, const std::optional<LaunchedRank>& rank) noexcept {
  if (rank && rank->rank != 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  std::fprintf(stderr, "error: %s\n", failure.message.c_str());
  std::fflush(stderr);
}

}  // namespace ferula
