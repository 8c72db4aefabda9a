// How a job enters the directory of its run: alone.
#pragma once

#include <memory>

#include "base/log.hpp"
#include "storage/file_system.hpp"
#include "train/run_directory.hpp"

namespace ferula {

/// Who holds a lock, as a second job is told: process, host, SLURM job and since when.
std::string this_job();

/// Rank 0 only. Makes RUN and locks it for the lifetime of the result, so that two jobs never write into each other's
/// metrics and checkpoints. Throws DeviceError, before anything is changed, where another job holds it. A file system
/// without locks is a warning.
std::unique_ptr<FileLock> enter_run(FileSystem& files, const RunDirectory& directory, Log& log);

/// Rank 0 only. Renames RUN, which `lock` holds, to the first free RUN.old-1, RUN.old-2, … and says so; makes a new RUN
/// and locks that one instead.
void replace_run(FileSystem& files, const RunDirectory& directory, std::unique_ptr<FileLock>& lock, Log& log);

}  // namespace ferula
