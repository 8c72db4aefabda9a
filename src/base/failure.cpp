#include "base/failure.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <new>

namespace ferula {

Failure failure_of(const std::exception_ptr& error) noexcept try {
  std::rethrow_exception(error);
} catch (const Error& known) {
  return {known.what(), known.code(), known.is_shared()};
} catch (const std::bad_alloc&) {
  return {"out of memory on the host: use a smaller batch or model, or more ranks on more nodes",
          ExitCode::does_not_fit};
} catch (const std::filesystem::filesystem_error& failed) {
  const std::string path = failed.path1().empty() ? "the working directory" : failed.path1().string();
  return {fmt::format("{}: {}; see that the folder exists and that you may write there", path, failed.code().message()),
          ExitCode::failed};
} catch (const std::exception& other) {
  return {other.what(), ExitCode::failed};
} catch (...) {
  return {"an exception of unknown type", ExitCode::failed};
}

}  // namespace ferula
