// Times and memory as SLURM writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ferula {

/// No limit of time: what SLURM calls UNLIMITED or infinite.
inline constexpr std::int64_t kNoTimeLimit = INT64_MAX;

/// Seconds of "30", "30:00", "4:00:00", "1-0", "1-12:30" or "1-00:00:00" (minutes, minutes:seconds,
/// hours:minutes:seconds, and from days on); kNoTimeLimit of "unlimited" and "infinite". Empty where it is none of
/// these.
std::optional<std::int64_t> seconds_of_slurm_time(std::string_view text);
/// "1-00:00:00", "4:00:00", "UNLIMITED".
std::string slurm_time(std::int64_t seconds);

/// MiB of "128G", "512000", "3T", "1024K", rounded up; a bare number is MiB. Empty where it is none of these.
std::optional<std::int64_t> mebibytes_of_slurm_memory(std::string_view text);
/// "128G" for whole GiB, else "1536M".
std::string slurm_memory(std::int64_t mebibytes);

}  // namespace ferula
