// Checks of SLURM's job, and of the rates that the ranks have measured.
#include <cmath>

#include "base/error.hpp"
#include "base/human.hpp"
#include "cluster/quantities.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kLeastTimeLeft = 600;  // seconds
constexpr double kSlowShare = 0.6;            // of the median rank
constexpr double kLeastLink = 0.2;            // GB/s
constexpr double kMostLatency = 2000.0;       // microseconds
constexpr double kLeastDisk = 30.0;           // MB/s
constexpr double kLeastMemory = 2.0;          // GB/s
constexpr double kLeastCompute = 5.0;         // GFLOP/s

/// A head node may have its configuration elsewhere, or get it from the controller.
bool has_slurm(const SystemFacts& facts) {
  return facts.variable("SLURM_JOB_ID").has_value() || facts.file("/etc/slurm/slurm.conf").has_value() ||
         answer_of(facts, {"scontrol", "--version"}).has_value();
}

std::optional<double> number_of(const SystemFacts& facts, const std::string& name) {
  return first_number(facts.variable(name).value_or(""));
}

Finding reachable(const SystemFacts& facts) {
  if (!has_slurm(facts)) return skipped("no SLURM");
  const auto ping = facts.run({"scontrol", "ping"});
  if (!ping) return skipped("no scontrol");
  const std::string first = ping->text.substr(0, ping->text.find('\n'));
  return ping->code == 0 && first.find("UP") != std::string::npos ? good(first) : failed(first);
}

Finding in_job(const SystemFacts& facts) {
  if (!has_slurm(facts)) return skipped("no SLURM");
  const auto job = facts.variable("SLURM_JOB_ID");
  return job ? good("job " + *job) : warned("not in a job: a login or head node");
}

/// Seconds until the job's limit. Jobs of SLURM before 23.02 are not told their end; the queue knows it.
std::optional<std::int64_t> seconds_left(const SystemFacts& facts) {
  if (const auto end = number_of(facts, "SLURM_JOB_END_TIME")) return std::llround(*end - facts.now_s());
  const auto job = facts.variable("SLURM_JOB_ID");
  const auto left = job ? answer_of(facts, {"squeue", "-h", "-j", *job, "-o", "%L"}) : std::nullopt;
  return left ? seconds_of_slurm_time(*left) : std::nullopt;
}

Finding time_left(const SystemFacts& facts) {
  const auto left = seconds_left(facts);
  if (!left) return skipped("no end known");
  if (*left == kNoTimeLimit) return good("no limit");
  const std::string found = human_duration(static_cast<double>(*left));
  return *left < kLeastTimeLeft ? warned(found) : good(found);
}

Finding tasks(const SystemFacts& facts) {
  const auto asked = number_of(facts, "SLURM_NTASKS");
  if (!asked) return skipped("not asked for");
  const int ranks = facts.job().ranks;
  const std::string found = fmt::format("{} ranks, {:.0f} tasks", ranks, *asked);
  if (!facts.job().is_launched) return good(found + "; nothing launched yet");
  return ranks < *asked ? warned(found) : good(found);
}

Finding task_processors(const SystemFacts& facts) {
  const auto asked = number_of(facts, "SLURM_CPUS_PER_TASK");
  if (!asked) return skipped("not asked for");
  const bool is_passed_on = facts.variable("SRUN_CPUS_PER_TASK").has_value() || facts.job().processors >= *asked;
  const std::string found = fmt::format("--cpus-per-task={:.0f}, {} for a rank", *asked, facts.job().processors);
  return is_passed_on ? good(found) : warned(found);
}

Finding task_gpus(const SystemFacts& facts) {
  const auto gpus = number_of(facts, "SLURM_GPUS_ON_NODE"), tasks_here = number_of(facts, "SLURM_NTASKS_PER_NODE");
  if (!gpus || !tasks_here) return skipped("not asked for");
  const std::string found = fmt::format("{:.0f} GPUs and {:.0f} tasks a node", *gpus, *tasks_here);
  return *gpus == *tasks_here ? good(found) : warned(found);
}

Finding node_state(const SystemFacts& facts) {
  const auto job = facts.variable("SLURMD_NODENAME");
  if (!job) return skipped("not in a job");
  const auto state = answer_of(facts, {"sinfo", "-h", "-N", "-n", *job, "-o", "%T"});
  if (!state) return skipped("sinfo does not tell");
  const bool is_leaving = state->find("drain") != std::string::npos || state->find("down") != std::string::npos ||
                          state->find("fail") != std::string::npos;
  return is_leaving ? warned(*state) : good(*state);
}

struct RateRule {
  Rate rate;
  std::string_view unit;
  double least;  // of any machine
};

/// A rank against a least rate, and against the median rank.
Finding judged(const RateRule& rule) {
  const auto& [rate, unit, least] = rule;
  if (rate.mine <= 0.0) return skipped("not measured");
  if (rate.mine < least) return warned(fmt::format("{:.3g} {}", rate.mine, unit));
  if (rate.mine < kSlowShare * rate.median)
    return warned(fmt::format("{:.3g} {}, the median rank has {:.3g}", rate.mine, unit, rate.median));
  return good(fmt::format("{:.3g} {}", rate.mine, unit));
}

Finding compute_rate(const SystemFacts& facts) {
  return judged({facts.job().compute_gigaflops, "GFLOP/s", kLeastCompute});
}
Finding memory_rate(const SystemFacts& facts) { return judged({facts.job().memory_gigabytes, "GB/s", kLeastMemory}); }
Finding disk_rate(const SystemFacts& facts) { return judged({facts.job().disk_megabytes, "MB/s", kLeastDisk}); }
Finding link_rate(const SystemFacts& facts) { return judged({facts.job().link_gigabytes, "GB/s", kLeastLink}); }

Finding latency(const SystemFacts& facts) {
  const double mine = facts.job().latency_microseconds.mine;
  if (mine <= 0.0) return skipped("not measured");
  return mine > kMostLatency ? warned(fmt::format("{:.0f} µs", mine)) : good(fmt::format("{:.0f} µs", mine));
}

constexpr Check kSlurm[]{
    {"slurm-reachable", "scontrol ping", "a controller that is UP",
     "wait and try again; a job that runs goes on meanwhile. If it lasts, tell the administrators", reachable},
    {"slurm-job", "SLURM_JOB_ID", "to be inside a job",
     "start through sbatch, or interactively: srun --gres=gpu:1 --time=1:00:00 --pty bash", in_job},
    {"slurm-time", "SLURM_JOB_END_TIME, squeue", "10 minutes left",
     "submit with a longer --time; a run that is stopped goes on with the same command", time_left},
    {"slurm-tasks", "SLURM_NTASKS, the ranks", "as many ranks as tasks were asked for",
     "start with srun, which starts them all, or ask for fewer tasks", tasks},
    {"slurm-processors", "SLURM_CPUS_PER_TASK, SRUN_CPUS_PER_TASK", "the processors a rank that were asked for",
     "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK in the batch script: srun does not take it over since 22.05",
     task_processors, CheckScope::rank},
    {"slurm-gpus", "SLURM_GPUS_ON_NODE, SLURM_NTASKS_PER_NODE", "one task for each GPU of a node",
     "let --ntasks-per-node and --gres=gpu:N be the same number", task_gpus},
    {"slurm-node", "sinfo", "a node that stays in service",
     "this job may finish, the node takes no other; exclude it from the next (sbatch --exclude)", node_state},
};

constexpr Check kSpeed[]{
    {"speed-compute", "a matrix product on all ranks", "5 GFLOP/s, and 0.6 of the median rank",
     "look at load, governor and binding above; leave a slow host out (sbatch --exclude): all wait for it",
     compute_rate, CheckScope::rank},
    {"speed-memory", "a copy of memory on all ranks", "2 GB/s, and 0.6 of the median rank",
     "bind ranks to processors of their own, or leave the host out (sbatch --exclude)", memory_rate, CheckScope::rank},
    {"speed-disk", "a file in the directory of runs, with fsync", "30 MB/s, and 0.6 of the median rank",
     "write runs to the parallel file system; save less often ([checkpoint] every_steps)", disk_rate},
    {"speed-link", "tensors to the next rank", "0.2 GB/s, and 0.6 of the median rank",
     "look at the network above; `ferula bench --only collectives` measures it longer", link_rate, CheckScope::rank},
    {"speed-latency", "a barrier of all ranks", "at most 2000 µs",
     "do not share processors between ranks; over TCP prefer fewer ranks or larger micro batches", latency,
     CheckScope::rank},
};

}  // namespace

std::span<const Check> slurm_checks() { return kSlurm; }
std::span<const Check> speed_checks() { return kSpeed; }

}  // namespace ferula
