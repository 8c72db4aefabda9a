#include "app/launch/rank_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/error.hpp"
#include "storage/file_system.hpp"

namespace ferula {

std::string rank_log(const std::string& directory, int rank) {
  return join_path(directory, fmt::format("rank-{:05}.txt", rank));
}

void print_to_rank_log(const std::string& directory, int rank) {
  make_posix_file_system()->make_directory(directory);
  const std::string path = rank_log(directory, rank);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0)
    throw DeviceError(fmt::format("--per-rank-log: cannot write {}: {}; choose a folder that you may write to", path,
                                  std::generic_category().message(errno)));
  std::fflush(stdout);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  ::close(file);
}

}  // namespace ferula
