// What SLURM's commands answer, and what is made of it.
#include "cluster/slurm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/fake_programs.hpp"
#include "support/message_of.hpp"

namespace ferula {
namespace {

using test::FakePrograms;
using test::message_of;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Submission, GivesTheNumberAlsoOfOneClusterOfMany) {
  const FakePrograms programs;
  programs.add("sbatch", "echo chatter >&2; echo '12;prometheus'");

  EXPECT_EQ(submit_script("job.sbatch", {}), "12");
}

TEST(Submission, RefusedSaysWhatWasTriedWhatCameBackAndWhatToDo) {
  const FakePrograms programs;
  programs.add("sbatch", "echo 'sbatch: error: Batch job submission failed: Invalid qos specification' >&2; exit 1");

  EXPECT_THAT(message_of<DeviceError>([] { submit_script("a b", {"--hold"}); }),
              AllOf(HasSubstr("tried: sbatch --parsable --hold 'a b'\n"), HasSubstr("(code 1): sbatch: error: Batch"),
                    HasSubstr("name one as slurm.qos"), HasSubstr("Nothing was submitted")));
}

TEST(Submission, WithoutAnAnswerMayHaveHappened) {
  const FakePrograms programs;
  for (const char* lines :
       {"echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1",
        "echo no number", "kill -9 $$"}) {
    programs.add("sbatch", lines);

    EXPECT_THAT(message_of<UnknownSubmission>([] { submit_script("job.sbatch", {}); }),
                AllOf(HasSubstr("`squeue --me` tells"), Not(HasSubstr("Nothing was submitted"))))
        << lines;
  }
}

TEST(Submission, WithAnOptionThatSbatchDoesNotKnowIsRefused) {
  const FakePrograms programs;
  programs.add("sbatch", "echo \"sbatch: unrecognized option '--nosuch'\" >&2; exit 255");

  EXPECT_THAT(message_of<DeviceError>([] { submit_script("job.sbatch", {}); }),
              AllOf(HasSubstr("mend slurm.options"), HasSubstr("Nothing was submitted")));
}

TEST(Controller, ThatDoesNotAnswerIsToldBeforeAnyoneWaitsForIt) {
  const FakePrograms programs;
  programs.add("scontrol", "echo 'Slurmctld(primary) at head is UP'");
  EXPECT_NO_THROW(expect_controller());

  programs.add("scontrol", "echo 'Slurmctld(primary) at head is DOWN'");
  EXPECT_THAT(message_of<DeviceError>([] { expect_controller(); }),
              AllOf(HasSubstr("tried: scontrol ping\n"), HasSubstr("is DOWN"), HasSubstr("Nothing was started")));
  programs.add("scontrol", "echo 'scontrol: fatal: Could not establish a configuration source' >&2; exit 1");
  EXPECT_THAT(message_of<DeviceError>([] { expect_controller(); }), HasSubstr("belongs to no cluster"));
}

struct AdviceCase {
  const char* message;  // as sbatch of 22.05 writes it
  const char* advice;
};

TEST(Advice, IsAboutWhatSlurmSaid) {
  const AdviceCase cases[] = {
      {"sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates "
       "accounting/QOS policy (job submit limit, user's size and/or time limits)",
       "as many jobs as you may"},
      {"sbatch: error: QOSMaxCpuPerJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS "
       "policy (job submit limit, user's size and/or time limits)",
       "the QOS allows less"},
      {"Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "fewer jobs, or less"},
      {"Requested time limit is invalid (missing or exceeds some limit)", "slurm.time"},
      {"User's group not permitted to use this partition", "not open to you"},
      {"Required partition not available (inactive or drain)", "takes no jobs now"},
      {"Unable to contact slurm controller (connect failure)", "scontrol ping"},
      {"Invalid authentication credential", "MUNGE"},
      {"Job dependency problem", "the job to wait for"}};
  for (const AdviceCase& each : cases) EXPECT_THAT(advice_on(each.message), HasSubstr(each.advice)) << each.message;
  EXPECT_EQ(advice_on("something new"), "");
}

TEST(Queue, KnowsJobsAndTheTasksOfArrays) {
  const FakePrograms programs;
  programs.add("squeue",
               "echo '7|7|CONFIGURING|gpu01|1-00:00:00'; echo '8_0|8|COMPLETING|gpu02|1:00'; "
               "echo '8_1|8|PENDING|(Priority)|2:00'; echo '9|9|COMPLETING|gpu03|0:10'");

  const auto jobs = queued_jobs();

  ASSERT_EQ(jobs.size(), 5U);
  EXPECT_EQ(jobs.at("8_1").reason, "(Priority)");
  EXPECT_EQ(job_with_work_left(jobs, "7")->time_left, "1-00:00:00");
  EXPECT_EQ(job_with_work_left(jobs, "8"), &jobs.at("8_1"));
  EXPECT_EQ(job_with_work_left(jobs, "9"), nullptr);
  EXPECT_EQ(job_with_work_left(jobs, "1"), nullptr);
}

TEST(Job, HasAStateForEachTask) {
  const FakePrograms programs;
  programs.add("scontrol",
               "echo 'JobId=7 JobName=JobState=x JobState=COMPLETED Reason=None'; "
               "echo 'JobId=8 JobState=OUT_OF_MEMORY Reason=None'");

  EXPECT_THAT(states_of_job("7").value(), testing::ElementsAre("COMPLETED", "OUT_OF_MEMORY"));
  EXPECT_TRUE(ended_badly("OUT_OF_MEMORY"));
  for (const char* state : {"COMPLETED", "COMPLETING", "RUNNING", "SUSPENDED"})
    EXPECT_FALSE(ended_badly(state)) << state;
}

TEST(Job, IsUnknownWhereSlurmSaysSoAndNotWhereItDoesNotAnswer) {
  const FakePrograms programs;
  programs.add("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
  EXPECT_TRUE(states_of_job("7").value().empty());

  programs.add("scontrol", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
  EXPECT_FALSE(states_of_job("7"));
}

TEST(Queue, SaysWhyItIsNotKnown) {
  const FakePrograms programs;
  programs.add("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");

  std::string problem;

  EXPECT_TRUE(queued_jobs(&problem).empty());
  EXPECT_EQ(problem, "squeue: slurm_load_jobs error: Unable to contact slurm controller");
}

}  // namespace
}  // namespace ferula
