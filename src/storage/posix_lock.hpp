// Locks of files by flock(2), which NFS passes on to its server.
#pragma once

#include "storage/file_system.hpp"

namespace ferula {

/// FileSystem::try_lock for the file systems of Linux.
LockAttempt try_posix_lock(const std::string& path, std::string_view note);

}  // namespace ferula
