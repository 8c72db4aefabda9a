// The facts of this machine, for the checks of `ferula doctor`.
#pragma once

#include <filesystem>
#include <map>

#include "doctor/system_facts.hpp"

namespace ferula {

/// Reads files under `root` ("/" but in tests), this process's environment and clock, and runs the system's programs,
/// each once: a second question gets the first answer. A program that takes longer than `patience_s` is ended.
class RealSystem final : public SystemFacts {
 public:
  RealSystem(JobFacts job, FileSystem& files, std::filesystem::path root = "/", int patience_s = 20)
      : job_(std::move(job)), files_(&files), root_(std::move(root)), patience_s_(patience_s) {}

  std::optional<std::string> file(const std::string& path) const override;
  std::vector<std::string> names(const std::string& directory) const override;
  std::optional<std::string> variable(const std::string& name) const override;
  std::optional<CommandResult> run(const std::vector<std::string>& words) const override;
  double now_s() const override;
  std::optional<FreeSpace> free_space(const std::string& directory) const override;
  std::string write_problem(const std::string& directory) const override;
  LockAttempt::State lock_state(const std::string& directory) const override;
  const JobFacts& job() const override { return job_; }

 private:
  std::string probe_file(const std::string& directory) const;
  std::string under_root(const std::string& path) const;

  JobFacts job_;
  FileSystem* files_;
  std::filesystem::path root_;
  int patience_s_;
  mutable std::map<std::vector<std::string>, std::optional<CommandResult>> answers_;
};

}  // namespace ferula
