// What the system counts for this process: the numbers that must stand still while a run goes on.
#pragma once

#include <cstdint>
#include <iosfwd>

namespace ferula::test {

struct ProcessState {
  std::int64_t resident_bytes = 0;
  std::int64_t open_files = 0;
  std::int64_t threads = 0;
  std::int64_t shared_mappings = 0;  // memory that other processes may see too
};

/// Reads /proc/self.
ProcessState process_state();

std::ostream& operator<<(std::ostream& out, const ProcessState& state);

}  // namespace ferula::test
