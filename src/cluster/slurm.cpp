#include "cluster/slurm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <sstream>
#include <string_view>

#include "cluster/run_program.hpp"
#include "cluster/words.hpp"

namespace ferula {
namespace {

constexpr int kNotFound = 127, kKilled = 128;  // by signal n: 128 + n
constexpr int kTooLong = 124;
constexpr const char* kPatience_s = "20";

/// A question to a controller that does not answer may hang for minutes.
ProgramOutcome ask(std::vector<std::string> words) {
  const std::string program = words.front();
  words.insert(words.begin(), {"timeout", "--kill-after=1", kPatience_s});
  ProgramOutcome outcome = run_program(words);
  if (outcome.code == kTooLong || outcome.code == kKilled + SIGKILL)
    outcome.err = fmt::format("{} did not answer within {} s", program, kPatience_s);
  return outcome;
}

struct Advice {
  const char* message;  // a part of what SLURM says
  const char* advice;
};
constexpr std::array<Advice, 22> kAdvice{{
    // the first that fits counts
    {"nvalid partition", "`sinfo -s` lists the partitions; name one as slurm.partition"},
    {"nvalid qos", "`sacctmgr show assoc user=$USER format=qos%60` lists yours; name one as slurm.qos"},
    {"nvalid account",
     "`sacctmgr show assoc user=$USER format=account,partition` lists yours; name one as slurm.account"},
    {"SubmitJob", "you have as many jobs as you may: wait for one, or `scancel` it"},
    {"QOSMax",
     "the QOS allows less: lower slurm.nodes, slurm.gpus_per_node or slurm.time, or choose another slurm.qos"},
    {"AssocMax", "your account allows less: wait for a job of yours to end, or ask for less"},
    {"accounting/QOS policy",
     "your QOS or account allows fewer jobs, or less in one: wait for one of yours (`squeue --me`), lower slurm.nodes, "
     "slurm.gpus_per_node or slurm.time, or choose another slurm.qos"},
    {"group not permitted", "this partition is not open to you: `sinfo -s` lists others; name one as slurm.partition"},
    {"partition not available", "this partition takes no jobs now: `sinfo -s` tells; name another as slurm.partition"},
    {"time limit", "the partition allows less: leave slurm.time out or lower it"},
    {"node configuration is not available",
     "no node has so much: lower slurm.gpus_per_node, slurm.cpus_per_task or "
     "slurm.mem; `sinfo -N -o '%N %c %m %G'` shows what nodes have"},
    {"nvalid feature", "no node has what --constraint names: `sinfo -o '%N %f'` lists it; mend slurm.options"},
    {"nrecognized option", "`man sbatch` lists its options; mend slurm.options"},
    {"emory specification can not be satisfied", "no node has so much memory: lower slurm.mem"},
    {"ode count specification invalid", "the partition has fewer nodes: lower slurm.nodes"},
    {"nvalid generic resource",
     "no node has such GPUs: set slurm.gpus_per_node = 0, or choose another slurm.partition"},
    {"uthentication",
     "MUNGE does not vouch for you on this host: tell the administrators (`munge -n | unmunge` tries it)"},
    {"Munge", "MUNGE does not answer on this host: tell the administrators, or submit from another head node"},
    {"timed out", "SLURM took too long to answer: look before you submit again"},
    {"ontact slurm controller",
     "SLURM's controller does not answer: try again in some minutes; `scontrol ping` tells "
     "whether it is back"},
    {"configuration source", "this host belongs to no cluster: do it on the cluster's head node (log in there)"},
    {"ependency", "the job to wait for is not known (any more): `squeue --me` lists those that wait or run"},
}};

/// Whether SLURM may have the job although sbatch has no number of it: it was not refused, or nobody heard the answer.
bool may_be_submitted(const ProgramOutcome& outcome) {
  const bool was_killed = outcome.code > kKilled && outcome.code <= kKilled + 64;  // sbatch itself ends with 255, too
  return outcome.code == 0 || was_killed || outcome.said().find("timed out") != std::string::npos;
}

bool is_over(const std::string& state) {
  constexpr std::array<std::string_view, 11> kOver{"COMPLETING", "COMPLETED", "CANCELLED",     "FAILED",
                                                   "TIMEOUT",    "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
                                                   "BOOT_FAIL",  "DEADLINE",  "REVOKED"};
  return std::find(kOver.begin(), kOver.end(), state) != kOver.end();
}

[[noreturn]] void refuse(const std::string& command, const ProgramOutcome& outcome) {
  if (outcome.code == kNotFound && outcome.said().empty())
    throw DeviceError(
        fmt::format("tried: {}\nfound no sbatch in PATH: jobs are submitted from the cluster's head node "
                    "(log in there, or load SLURM's module). Nothing was submitted",
                    command));
  const std::string said = outcome.said();
  const std::string answer =
      fmt::format("tried: {}\nSLURM answered (code {}): {}\n", command, outcome.code, said.empty() ? "nothing" : said);
  const std::string advice = advice_on(said);
  if (may_be_submitted(outcome))
    throw UnknownSubmission(fmt::format("{}{}The job may be in the queue all the same: `squeue --me` tells", answer,
                                        advice.empty() ? "" : advice + ". "));
  throw DeviceError(fmt::format("{}{}. Nothing was submitted", answer,
                                advice.empty() ? "`sbatch --test-only SCRIPT` tries it again without a job" : advice));
}

struct SbatchCall {
  std::string command;
  ProgramOutcome outcome;
};

SbatchCall run_sbatch(const std::string& first, const std::vector<std::string>& options, const std::string& script) {
  std::vector<std::string> words{"sbatch", first};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(script);
  return {command_text(words), run_program(words)};
}

}  // namespace

std::string advice_on(const std::string& message) {
  for (const Advice& each : kAdvice)
    if (message.find(each.message) != std::string::npos) return each.advice;
  return "";
}

std::string submit_script(const std::string& script, const std::vector<std::string>& options) {
  const auto [command, outcome] = run_sbatch("--parsable", options, script);
  const std::string number = outcome.out.substr(0, outcome.out.find_first_of(";\n"));
  const bool is_number = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  if (outcome.code != 0 || !is_number) refuse(command, outcome);
  return number;
}

void expect_controller() {
  const ProgramOutcome outcome = ask({"scontrol", "ping"});
  const std::string said = outcome.said();
  if (outcome.code == kNotFound || (outcome.code == 0 && said.find(" UP") != std::string::npos)) return;
  const std::string advice = advice_on(said);
  throw DeviceError(fmt::format("tried: scontrol ping\nSLURM answered (code {}): {}\n{}. Nothing was started",
                                outcome.code, said.empty() ? "nothing" : said,
                                advice.empty() ? "try again in some minutes: its controller is not up" : advice));
}

const QueuedJob* job_with_work_left(const std::map<std::string, QueuedJob>& jobs, const std::string& number) {
  for (const auto& [name, job] : jobs)
    if ((name == number || name.starts_with(number + "_")) && !is_over(job.state)) return &job;
  return nullptr;
}

std::string test_script(const std::string& script, const std::vector<std::string>& options) {
  const auto [command, outcome] = run_sbatch("--test-only", options, script);
  if (outcome.code != 0) refuse(command, outcome);
  return outcome.said();
}

std::map<std::string, QueuedJob> queued_jobs(std::string* problem) {
  const ProgramOutcome outcome = ask({"squeue", "--me", "--array", "--noheader", "--format=%i|%F|%T|%R|%L|%S"});
  std::map<std::string, QueuedJob> jobs;
  if (outcome.code != 0) {
    if (problem != nullptr)
      *problem = outcome.code == kNotFound ? "there is no SLURM here (squeue was not found)"
                                           : fmt::format("squeue: {}", outcome.said());
    return jobs;
  }
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    std::array<std::string, 6> cells;
    std::istringstream rest(line);
    for (std::string& cell : cells) std::getline(rest, cell, '|');
    const QueuedJob job{
        .state = cells[2], .reason = cells[3], .time_left = cells[4], .start = cells[5] == "N/A" ? "" : cells[5]};
    jobs[cells[0]] = job;
    jobs.try_emplace(cells[1], job);
  }
  return jobs;
}

std::optional<std::vector<std::string>> states_of_job(const std::string& number) {
  const ProgramOutcome outcome = ask({"scontrol", "show", "job", "-o", number});
  std::vector<std::string> states;
  if (outcome.code != 0 && outcome.said().find("nvalid job id") == std::string::npos) return std::nullopt;
  for (const std::string_view line : split(outcome.out, '\n')) {
    constexpr std::string_view kKey = " JobState=";
    const std::size_t key = line.find(kKey);
    if (key == std::string_view::npos) continue;
    const std::string_view rest = line.substr(key + kKey.size());
    states.emplace_back(rest.substr(0, rest.find(' ')));
  }
  return states;
}

bool ended_badly(const std::string& state) { return is_over(state) && !state.starts_with("COMPLET"); }

}  // namespace ferula
