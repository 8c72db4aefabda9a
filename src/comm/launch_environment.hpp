// Whether mpirun or srun started this process as one rank of several: the one place that reads their variables.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ferula {

/// This process as its launcher sees it. Known before MPI is initialised.
struct LaunchedRank {
  int rank = 0;
  int ranks = 1;
};

/// Empty in a process that nobody started as a rank, also inside a SLURM batch script. Reads the variables of Open MPI
/// (OMPI_COMM_WORLD_*), of srun with PMIx (PMIX_RANK, SLURM_STEP_NUM_TASKS) and of PMI-2 (PMI_RANK, PMI_SIZE).
std::optional<LaunchedRank> launched_rank();

/// The tasks of the step of `srun` that this process is one of, where srun has told MPI nothing of them: each then
/// takes itself for the only one. Empty for a rank, and where there is one task.
std::optional<int> strangers_in_step();

/// The number of the SLURM job that this process belongs to (SLURM_JOB_ID); empty outside of one.
std::string slurm_job();

/// The value of a variable, for a diagnosis that shows what the process was started with; absent where it is not set.
std::optional<std::string> environment_variable(const std::string& name);
/// The names of this process's variables that ranks on other hosts need, in alphabetical order: FERULA_*, NCCL_*,
/// UCX_*, OMP_NUM_THREADS, LD_LIBRARY_PATH and those that match one of `wanted`, a name or a glob. Entries NAME=VALUE
/// of `wanted` follow as they are. Throws ConfigError for a name, without a wildcard, that is not set.
std::vector<std::string> forwarded_variables(const std::vector<std::string>& wanted = {});

/// What may hide GPUs from this process, for messages: "CUDA_VISIBLE_DEVICES=0,1, SLURM_JOB_GPUS not set".
std::string gpu_environment();

}  // namespace ferula
