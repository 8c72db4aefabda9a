// Checkpoints that nobody should take by himself any more, but that are not for a program to delete: they get another
// name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/file_system.hpp"

namespace ferula {

/// Renames the checkpoint of `step` to `prefix`step-…-<id> (kDamagedPrefix or kAbandonedPrefix) and returns its new
/// folder. Called by one rank.
std::string set_aside(FileSystem& files, const std::string& folder, std::int64_t step, std::string_view prefix);
/// The same for all that are newer than `step`, for a run that goes on from there; `latest` then names what is left.
/// Their new folders. Called by one rank.
std::vector<std::string> set_newer_aside(FileSystem& files, const std::string& folder, std::int64_t step,
                                         std::string_view prefix);
/// The names of those that were set aside, in alphabetical order.
std::vector<std::string> set_aside_in(FileSystem& files, const std::string& folder);

/// Rewrites the file `latest` for people and scripts.
void write_latest(FileSystem& files, const std::string& folder, std::int64_t step);

}  // namespace ferula
