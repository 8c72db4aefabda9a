// Which checkpoints stay: the newest ones and every so many steps one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/file_system.hpp"

namespace ferula {

struct Retention {
  std::int64_t keep_last = 0;   // 0: all
  std::int64_t keep_every = 0;  // steps; a checkpoint whose step is a multiple stays for ever; 0: none
};

/// Of `good` steps, in ascending order, those that may go. Never the newest.
std::vector<std::int64_t> steps_to_delete(const std::vector<std::int64_t>& good, const Retention& retention);
/// Deletes by renaming away first, so that no half-deleted checkpoint has a checkpoint's name. Neither damaged ones are
/// counted or deleted, nor those of steps after `newest`, the one just saved: it never goes. Called by one rank.
void apply_retention(FileSystem& files, const std::string& folder, const Retention& retention, std::int64_t newest);
/// Removes what saves and deletions that died have left. Called by one rank while no save runs.
void remove_leftovers(FileSystem& files, const std::string& folder);

}  // namespace ferula
