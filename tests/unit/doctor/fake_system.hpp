// A machine made of text: a healthy node of a SLURM job on two hosts, into which tests plant faults.
#pragma once

#include <map>

#include "doctor/system_facts.hpp"

namespace ferula {

class FakeSystem final : public SystemFacts {
 public:
  /// Everything that a check can ask for is there and well.
  static FakeSystem healthy();

  std::optional<std::string> file(const std::string& path) const override;
  std::vector<std::string> names(const std::string& directory) const override;
  std::optional<std::string> variable(const std::string& name) const override;
  std::optional<CommandResult> run(const std::vector<std::string>& words) const override;
  double now_s() const override { return now; }
  std::optional<FreeSpace> free_space(const std::string& directory) const override;
  std::string write_problem(const std::string& directory) const override;
  LockAttempt::State lock_state(const std::string&) const override { return lock; }
  const JobFacts& job() const override { return facts; }

  std::map<std::string, std::string> files;  // by path; a folder has the names that paths give it
  std::map<std::string, std::string> variables;
  std::map<std::string, CommandResult> commands;         // by their words, with blanks between
  std::vector<std::map<std::string, std::string>> gpus;  // what nvidia-smi tells of each, by field
  std::map<std::string, FreeSpace> space;                // by folder
  std::map<std::string, std::string> write_problems;     // by folder
  double now = 1.75e9;
  LockAttempt::State lock = LockAttempt::State::taken;
  JobFacts facts;
};

/// `text` with the first `from` in it replaced; a test that replaces nothing is none.
std::string replaced(std::string text, const std::string& from, const std::string& to);

}  // namespace ferula
