// Locks of files by flock(2), which NFS passes on to its server.
#pragma once

#include <optional>
#include <string>

#include "storage/file_system.hpp"

namespace ferula {

/// FileSystem::try_lock for the file systems of Linux.
LockAttempt try_posix_lock(const std::string& path, std::string_view note);

/// What the holder of a lock wrote; empty where nobody holds it. Takes nothing away from who would take it: looks for a
/// moment only where the file exists.
std::optional<std::string> posix_lock_note(const std::string& path);

}  // namespace ferula
