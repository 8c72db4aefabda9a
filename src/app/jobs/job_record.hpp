// What a run's directory keeps of the job that was submitted for it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "storage/file_system.hpp"

namespace ferula {

struct JobRecord {
  std::string job;      // SLURM's number
  std::string script;   // what was submitted
  std::string log;      // where the job's output goes; of an array the task's number is N
  std::string command;  // as typed
};

inline std::filesystem::path job_script(const std::filesystem::path& run) { return run / "job.sbatch"; }

/// Replaces an earlier one.
void write_job_record(FileSystem& files, const std::filesystem::path& run, const JobRecord& record);
/// Empty where there is none, or none that can be read.
std::optional<JobRecord> read_job_record(FileSystem& files, const std::filesystem::path& run);

}  // namespace ferula
