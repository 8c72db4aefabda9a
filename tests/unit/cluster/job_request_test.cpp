// The request of a job: completed from the profile, held against its limits, written as a script.
#include "cluster/job_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cluster/batch_script.hpp"
#include "config/diagnostic.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const ClusterProfile& prometheus() {
  static const ClusterProfile profile = load_profile("prometheus", {FERULA_SOURCE_DIR "/slurm/profiles"});
  return profile;
}

ConfigDraft draft_of(const std::vector<std::string>& sets) {
  return draft_config_text("[data]\ntext = [\"a\"]\n[training]\nsteps = 1\ntrain_batch_size = 1\n", "my.toml", {},
                           sets);
}

JobRequest request_of(const std::vector<std::string>& sets) {
  return job_request(draft_of(sets).loaded.config, &prometheus());
}

/// What is refused, one text a mistake.
std::vector<std::string> mistakes(const std::vector<std::string>& sets) {
  ConfigDraft draft = draft_of(sets);
  check_job(draft, job_request(draft.loaded.config, &prometheus()), &prometheus());
  std::vector<std::string> found;
  try {
    draft.mistakes.throw_if_any();
  } catch (const ConfigMistakes& error) {
    for (const ConfigMistake& each : error.mistakes()) found.push_back(each.message + " | " + each.fix);
  }
  return found;
}

TEST(JobRequest, TakesAWholeNodeOfTheFirstPartition) {
  EXPECT_THAT(resource_options(request_of({})),
              ElementsAre("--partition=defq", "--qos=normal", "--nodes=1", "--ntasks-per-node=8", "--cpus-per-task=8",
                          "--gres=gpu:8", "--mem=480G", "--time=1-00:00:00"));
}

TEST(JobRequest, AsksForNoMoreThanTheQosAllows) {
  EXPECT_THAT(resource_options(request_of({"slurm.partition=a6000"})),
              ElementsAre("--partition=a6000", "--qos=normal-a6000", "--nodes=1", "--ntasks-per-node=3",
                          "--cpus-per-task=16", "--gres=gpu:3", "--mem=360G", "--time=1-00:00:00"));
}

TEST(JobRequest, ReadsZeroAsSlurmDoes) {
  EXPECT_THAT(resource_options(request_of({"slurm.mem=0", "slurm.time=0", "slurm.qos=preemptive"})),
              AllOf(Contains("--mem=0"), Contains("--time=UNLIMITED")));
  EXPECT_THAT(mistakes({"slurm.partition=a6000", "slurm.mem=0"}),
              ElementsAre(HasSubstr("slurm.mem: QOS normal-a6000 allows 384G, you ask 512G")));
}

TEST(JobRequest, AsksForNoGpusToComputeOnProcessors) {
  const JobRequest request = request_of({"run.device=cpu", "slurm.ntasks_per_node=4"});

  EXPECT_EQ(request.gpus(), 0);
  EXPECT_EQ(request.cpus(), 32);
}

TEST(JobRequest, PassesEveryDefaultOfTheProfile) {
  for (const ClusterPartition& partition : prometheus().partitions)
    for (const std::string& qos : partition.qos)
      EXPECT_THAT(mistakes({"slurm.partition=" + partition.name, "slurm.qos=" + qos}), IsEmpty()) << qos;
}

struct RefusedCase {
  std::vector<std::string> sets;
  const char* message;
};

TEST(JobLimits, AreToldBeforeSlurmWould) {
  const RefusedCase cases[] = {
      {{"slurm.partition=a6000", "slurm.gpus_per_node=4"}, "QOS normal-a6000 allows 3 GPUs, you ask 4"},
      {{"slurm.partition=a6000", "slurm.gpus_per_node=4", "slurm.cpus_per_task=8"},
       "preemptive-a6000 (partition a6000)"},
      {{"slurm.partition=a6000", "slurm.qos=normal"}, "expected a QOS of partition a6000, found 'normal'"},
      {{"slurm.partition=defg"}, "did you mean 'defq'?"},
      {{"slurm.nodes=9"}, "expected at most the 8 nodes of partition defq, found 9"},
      {{"slurm.nodes=7", "slurm.gpus_per_node=8"}, "QOS normal allows 48 GPUs, you ask 56"},
      {{"slurm.gpus_per_node=9"}, "8 GPUs a node of partition defq, found 9"},
      {{"slurm.cpus_per_task=9"}, "64 processors a node of partition defq, found 72"},
      {{"slurm.mem=600G"}, "a node of partition defq has 512G, you ask 600G"},
      {{"slurm.time=7-00:00:00"}, "leave slurm.time out: the job is queued again"},
      {{"slurm.time=7-00:00:00", "slurm.requeue=false"}, "these QOS allow it: long (partition defq)"},
      {{"slurm.time=4h"}, "expected a time as SLURM writes it, found '4h'"},
      {{"slurm.mem=lots"}, "expected a size as SLURM writes it, found 'lots'"},
      {{"slurm.time=2:00"}, "expected more than the 300 s before its end"},
      {{"slurm.ntasks_per_node=2", "slurm.gpus_per_node=4"}, "expected one rank for each of 4 GPUs, found 2"},
  };
  for (const RefusedCase& each : cases)
    EXPECT_THAT(mistakes(each.sets), Contains(HasSubstr(each.message))) << each.sets.front();
}

TEST(ClusterProfile, TellsItsMistakesAllAtOnce) {
  try {
    parse_profile("default_partition = \"x\"\nmoduls = []\n[partition.y]\nnodes = 0\nmem_per_node = \"much\"\n",
                  "p.toml");
    FAIL() << "expected mistakes";
  } catch (const ConfigMistakes& error) {
    EXPECT_EQ(error.mistakes().size(), 4u) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'modules'?"));
  }
}

TEST(ClusterProfile, KnowsItsHeadNodes) {
  EXPECT_TRUE(is_head_node(prometheus(), "prometheus"));
  EXPECT_TRUE(is_head_node(prometheus(), "login2"));
  EXPECT_FALSE(is_head_node(prometheus(), "gpu01"));
}

BatchJob job_of(const std::string& array) {
  return {.written_by = "ferula submit my.toml",
          .name = "my",
          .folder = "/data",
          .run = "/data/runs/my",
          .program = "/opt/ferula",
          .train = {"train", "my.toml", "--set", "data.text=a b"},
          .array = array};
}

TEST(BatchScript, AsksAndStartsWhatItShould) {
  const std::string script = batch_script(request_of({}), job_of(""));

  for (const char* line :
       {"#!/bin/bash\n", "#SBATCH --job-name=my\n", "#SBATCH --gres=gpu:8\n", "#SBATCH --signal=USR1@300\n",
        "#SBATCH --requeue\n", "#SBATCH --output=/data/runs/my/slurm-%j.out\n", "module load CUDA/11.3.1 ||",
        "srun --mpi=pmix --kill-on-bad-exit=0 --wait=60 /opt/ferula train my.toml --set 'data.text=a b' "
        "\"${own[@]}\"\n",
        "*JobState=CANCELLED*)", "scontrol requeue \"$SLURM_JOB_ID\""})
    EXPECT_THAT(script, HasSubstr(line));
}

TEST(BatchScript, QuotesForSbatchWhatNamesAndOptionsHave) {
  BatchJob job = job_of("");
  job.name = "lr 50%j";
  job.folder = "/my data";
  job.run = "/my data/runs/lr 50%j";
  job.per_rank_log = "logs 1%";

  const std::string script = batch_script(request_of({"slurm.options=['--comment=a b']"}), job);

  for (const char* line : {"#SBATCH '--comment=a b'\n", "#SBATCH '--job-name=lr 50%j'\n",
                           "#SBATCH '--chdir=/my data'\n", "#SBATCH '--output=/my data/runs/lr 50%%j/slurm-%j.out'\n",
                           "run='/my data/runs/lr 50%j'\n", "\"${own[@]}\" --per-rank-log 'logs 1%'\n"})
    EXPECT_THAT(script, HasSubstr(line));
  EXPECT_EQ(job_log(job, "7"), "/my data/runs/lr 50%j/slurm-7.out");
}

TEST(BatchScript, GivesTheRanksOfEachTaskLogsOfTheirOwn) {
  BatchJob job = job_of("0-3");
  job.per_rank_log = "logs";

  EXPECT_THAT(batch_script(request_of({}), job), HasSubstr("--per-rank-log logs/task-\"$SLURM_ARRAY_TASK_ID\"\n"));
}

TEST(BatchScript, RefusesWhatSbatchCannotRead) {
  BatchJob job = job_of("");
  for (const char* folder : {"/data\nrm -rf x", "/data\\1"}) {
    job.folder = folder;
    EXPECT_THROW(batch_script(request_of({}), job), ConfigError) << folder;
  }
}

TEST(BatchScript, WithoutRequeueEndsWithItsRun) {
  const std::string script = batch_script(request_of({"slurm.requeue=false"}), job_of(""));

  EXPECT_THAT(script, HasSubstr("#SBATCH --no-requeue\n"));
  EXPECT_EQ(script.find("scontrol"), std::string::npos);
}

TEST(BatchScript, OfAnArrayGivesEachTaskARun) {
  BatchJob job = job_of("0-1");
  job.varied = {{.key = "optimizer.params.lr", .values = {"1e-3", "1e-4"}}};

  const std::string script = batch_script(request_of({}), job);

  EXPECT_THAT(script, HasSubstr("#SBATCH --array=0-1\n"));
  EXPECT_THAT(script, HasSubstr("values0=(1e-3 1e-4)\n"));
  EXPECT_THAT(script, HasSubstr("--set optimizer.params.lr=\"${values0[$SLURM_ARRAY_TASK_ID]}\""));
  EXPECT_THAT(script, HasSubstr("run=/data/runs/my-\"$SLURM_ARRAY_TASK_ID\"\n"));
}

}  // namespace
}  // namespace ferula
