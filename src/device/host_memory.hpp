// How much memory the host can still give to a process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace ferula {

/// Bytes that this process may still take without swapping or being killed: what Linux calls available, within the
/// limits of the control groups that it runs in (a SLURM job, a container), whose file cache counts as free. Absent
/// where the system does not tell. `root` stands for "/", for tests.
std::optional<std::int64_t> available_host_memory(const std::filesystem::path& root = "/");

}  // namespace ferula
