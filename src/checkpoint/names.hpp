// The names of what lies in a run's folder of checkpoints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ferula {

inline constexpr std::string_view kLatestName = "latest";
inline constexpr std::string_view kSavingPrefix = ".saving-";
inline constexpr std::string_view kDeletingPrefix = ".deleting-";
inline constexpr std::string_view kDamagedPrefix = "damaged-";
inline constexpr std::string_view kAbandonedPrefix = "abandoned-";

/// step-00001000
std::string step_name(std::int64_t step);
/// The step of such a name; nothing for any other name.
std::optional<std::int64_t> step_of_name(std::string_view name);
/// .saving-1100-5f2c9a10
std::string saving_name(std::int64_t step, std::uint32_t id);
/// A word for temporary names that another process hardly ever has.
std::uint32_t random_id();
/// /value/blocks/3/attention/query/weight
std::string dataset_name(std::string_view role, std::string_view tensor);

}  // namespace ferula
