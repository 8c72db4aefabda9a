// How far a run has come, from the files of its directory and the queue: what `ferula status` shows of it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/slurm.hpp"

namespace ferula {

struct RunStatus {
  std::string run;    // its directory
  std::string job;    // SLURM's number; empty without one
  std::string state;  // "running", "queued", "finished", "failed: …", …
  std::string log;    // of the job
  std::optional<std::int64_t> step, steps;
  std::optional<double> loss, tokens_per_second, eta_s;
};

/// Directories of runs among `places` and in them, in alphabetical order.
std::vector<std::filesystem::path> find_runs(const std::vector<std::string>& places);

/// `jobs`: the queue. Reads only; what is missing or damaged stays empty.
RunStatus run_status(const std::filesystem::path& run, const std::map<std::string, QueuedJob>& jobs);

}  // namespace ferula
