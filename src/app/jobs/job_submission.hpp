// From a script to a job in the queue, or to nothing at all: what `ferula submit` writes, tries and takes back.
#pragma once

#include <string>
#include <vector>

#include "app/jobs/job_plan.hpp"
#include "cluster/batch_script.hpp"

namespace ferula {

struct Submission {
  const JobPlan& plan;
  const BatchJob& job;
  const std::string& script;
  std::vector<std::string> after;  // numbers of jobs, or directories of runs
  std::string command;             // as typed
};

/// Submits the script and keeps it with its job's number in the run's directory; returns that number. Throws, with
/// nothing submitted and nothing left behind: ConfigError for a job that `after` does not name; DeviceError where the
/// run has a job already, a module does not load, the directory cannot be written, or SLURM refuses; CapacityError for
/// a full disk or quota.
std::string submit(const Submission& submission);

/// What SLURM says of when and where it would start; the same checks, and nothing is submitted or left behind.
std::string try_submission(const Submission& submission);

/// Throws ConfigError where `array` is no list of numbers, or has more tasks than the QOS allows jobs.
void require_array_allowed(const std::string& array, const JobPlan& plan);

/// What is legal but unwise about where the run is kept, and about what it will write there. Throws CapacityError where
/// not one checkpoint fits.
std::vector<std::string> storage_warnings(const JobPlan& plan, const BatchJob& job);

}  // namespace ferula
