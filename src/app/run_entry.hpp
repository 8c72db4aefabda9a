// How a job enters the directory of its run: alone.
#pragma once

#include <memory>

#include "app/resume_run.hpp"
#include "base/log.hpp"
#include "storage/file_system.hpp"
#include "train/run_directory.hpp"

namespace ferula {

/// Rank 0 only. Makes RUN and locks it for the lifetime of the result, so that two jobs never write into each other's
/// metrics and checkpoints; with `--resume never` an earlier RUN is moved aside first. Throws DeviceError, before
/// anything is changed, where another job holds it. A file system without locks is a warning.
std::unique_ptr<FileLock> enter_run(FileSystem& files, const RunDirectory& directory, const ResumeChoice& choice,
                                    Log& log);

}  // namespace ferula
