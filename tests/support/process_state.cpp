#include "support/process_state.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>
#include <string>

namespace ferula::test {
namespace {

std::int64_t entries_of(const char* folder) {
  const std::filesystem::directory_iterator entries(folder);
  return std::distance(begin(entries), end(entries));
}

std::int64_t shared_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::int64_t shared = 0;
  for (std::string line; std::getline(maps, line);) {
    std::string addresses, permissions;
    std::istringstream(line) >> addresses >> permissions;
    shared += permissions.size() == 4 && permissions[3] == 's' ? 1 : 0;
  }
  return shared;
}

}  // namespace

ProcessState process_state() {
  std::int64_t virtual_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages;
  return {.resident_bytes = resident_pages * sysconf(_SC_PAGESIZE),
          .open_files = entries_of("/proc/self/fd"),
          .threads = entries_of("/proc/self/task"),
          .shared_mappings = shared_mappings()};
}

std::ostream& operator<<(std::ostream& out, const ProcessState& state) {
  return out << state.resident_bytes << " bytes resident, " << state.open_files << " open files, " << state.threads
             << " threads, " << state.shared_mappings << " shared mappings";
}

}  // namespace ferula::test
