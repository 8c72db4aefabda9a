// The wizard on a cluster: which one it is, and what the job asks SLURM for.
#include "app/wizard/wizard_cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/wizard/wizard_save.hpp"
#include "wizard_fixture.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// The wizard after these answers and the usual ones; no answer may be refused.
class Answered {
 public:
  Answered(const Answers& answers, WizardFacts facts) : facts_(std::move(facts)) {
    EXPECT_THAT(wizard_.take(answers), IsEmpty());
    EXPECT_EQ(wizard_.take_usual(), nullptr);
    EXPECT_EQ(mistakes_in(wizard_), "");
  }
  SlurmConfig slurm() const { return wizard_.outcome().config().slurm; }
  std::vector<std::string> options() const { return resource_options(wizard_.outcome().job()); }
  const WizardView& outcome() const { return wizard_.outcome(); }

 private:
  WizardFacts facts_;
  Wizard wizard_{facts_};
};

Answered answered(const Answers& answers, WizardFacts facts = prometheus_facts()) {
  return {answers, std::move(facts)};
}

std::vector<std::string> offered(const WizardFacts& facts) {
  std::vector<std::string> words;
  for (const Partition& each : facts.partitions) words.push_back(each.answer());
  return words;
}

std::string refusal(const Answers& answers) {
  const WizardFacts facts = prometheus_facts();
  Wizard wizard(facts);
  const std::vector<std::string> refused = wizard.take(answers);
  return refused.empty() ? "" : refused.front();
}

TEST(WizardCluster, IsRecognisedByItsPartitions) {
  ClusterSigns signs = signs_of_prometheus();
  signs.host = "login1";
  EXPECT_EQ(prometheus_facts(signs).clusters.size(), 1u) << "all partitions";

  signs.partitions.pop_back();
  EXPECT_EQ(prometheus_facts(signs).clusters.size(), 1u) << "some of them on a head node";
  signs.host = "gpu01";
  EXPECT_THAT(prometheus_facts(signs).clusters, IsEmpty()) << "many clusters have a defq";
  signs.host = "login1";
  signs.partitions.front().name = "batch";
  EXPECT_THAT(prometheus_facts(signs).clusters, IsEmpty()) << "many clusters have a login1";
  signs.partitions.clear();
  EXPECT_THAT(offered(prometheus_facts(signs)), ElementsAre("slurm:a6000", "slurm:defq")) << "sinfo is silent";
}

TEST(WizardCluster, IsTheOneThatIsNamed) {
  ClusterSigns signs = signs_of_prometheus();
  signs.named = {"my.toml", load_profile("prometheus", {FERULA_SOURCE_DIR "/slurm/profiles"})};
  signs.partitions.push_back({"debug", false, 1});
  const WizardFacts facts = prometheus_facts(signs);

  EXPECT_THAT(offered(facts), ElementsAre("slurm:defq", "slurm:a6000"));
  EXPECT_THAT(facts.notes, ElementsAre(HasSubstr("not offered: SLURM's partitions debug")));
  EXPECT_EQ(answered({}, facts).slurm().profile, "my.toml");
}

TEST(WizardCluster, IsOfferedElsewhere) {
  const WizardFacts facts = prometheus_facts({.host = "laptop"});

  EXPECT_EQ(answered({}, facts).slurm(), SlurmConfig{}) << "this machine is the usual one";
  const Answered there = answered({{"compute_environment", "prometheus:a6000"}, {"num_gpus", "2"}}, facts);
  EXPECT_EQ(there.slurm().profile, "prometheus");
  EXPECT_EQ(there.outcome().room().place, "RTX 6000 Ada");
  EXPECT_THAT(next_commands(there.outcome(), "train.toml"),
              HasSubstr("submit it      ferula submit train.toml   (on the cluster)"));
}

TEST(WizardCluster, WritesTheJobOfTheUsualAnswers) {
  EXPECT_THAT(answered({}).options(),
              ElementsAre("--partition=defq", "--qos=normal", "--nodes=1", "--ntasks-per-node=8", "--cpus-per-task=8",
                          "--gres=gpu:8", "--mem=480G", "--time=1-00:00:00"));
}

TEST(WizardCluster, AsksForNoMoreThanTheQosAllows) {
  const Answered ada = answered({{"compute_environment", "slurm:a6000"}});

  EXPECT_EQ(ada.outcome().ranks(), 3) << "four GPUs a node, three for a user";
  EXPECT_THAT(refusal({{"compute_environment", "slurm:a6000"}, {"num_gpus", "4"}}),
              AllOf(HasSubstr("QOS normal-a6000 allows 3 GPUs, you ask 4"), HasSubstr("long-a6000")));
  EXPECT_THAT(refusal({{"num_gpus", "56"}}), HasSubstr("QOS normal allows 48 GPUs"));
  EXPECT_THAT(refusal({{"qos", "long-a6000"}}), HasSubstr("Please enter one of: normal, long, preemptive"));
  EXPECT_EQ(answered({{"qos", "long"}, {"num_gpus", "64"}}).slurm().nodes, 8);
  EXPECT_EQ(answered({{"num_gpus", "8"}, {"num_machines", "2"}}).slurm().gpus_per_node.get(), 4);
}

TEST(WizardCluster, SharesProcessorsBetweenRanksWithoutGpus) {
  const Answered processors = answered({{"machine_type", "multi-CPU"}, {"num_processes", "128"}});

  EXPECT_THAT(processors.options(),
              AllOf(testing::Contains("--nodes=2"), testing::Contains("--ntasks-per-node=64"),
                    testing::Contains("--cpus-per-task=1"), Not(testing::Contains(HasSubstr("gres")))));
  const Answered alone = answered({{"machine_type", "no"}, {"use_cpu", "no"}});
  EXPECT_THAT(alone.options(), testing::Contains("--gres=gpu:1"));
}

TEST(WizardCluster, LimitsTheTimeOfAJob) {
  EXPECT_EQ(answered({{"job_time", "30"}}).slurm().time, "30");
  EXPECT_THAT(refusal({{"job_time", "soon"}}), HasSubstr("4:00:00"));
  EXPECT_THAT(refusal({{"job_time", "7-00:00:00"}}), HasSubstr("QOS normal allows 1-00:00:00"));
  EXPECT_EQ(answered({{"qos", "long"}, {"job_time", "7-00:00:00"}}).slurm().time, "7-00:00:00");
  const Answered other =
      answered({{"job_time", "4:00:00"}, {"requeue", "no"}, {"account", "default"}}, cluster_facts());
  EXPECT_FALSE(other.slurm().requeue);
  const WizardFacts facts = cluster_facts();
  EXPECT_THAT(Wizard(facts).take({{"job_time", "2-0"}}), ElementsAre(HasSubstr("the limit of partition defq")));
}

TEST(WizardCluster, KeepsOfAnEarlierFileWhatIsGranted) {
  const auto slurm_after = [](const std::string& earlier, const Answers& answers) {
    WizardFacts facts = prometheus_facts();
    const LoadedConfig loaded = load_config_text(
        "[data]\ntext = [\"a.txt\"]\n[training]\nsteps = 5\ntrain_batch_size = 48\n[slurm]\nprofile = "
        "\"prometheus\"\n" +
            earlier,
        facts.path, {}, {});
    facts.earlier = preset_of(loaded, facts.path);
    facts.earlier_config = loaded.config;
    return answered(answers, facts).slurm();
  };

  const SlurmConfig same = slurm_after("partition = \"a6000\"\nqos = \"long-a6000\"\nmem = \"64G\"\n", {});
  EXPECT_EQ(same.partition, "a6000");
  EXPECT_EQ(same.qos, "long-a6000");
  EXPECT_EQ(same.mem, "64G");
  const SlurmConfig moved = slurm_after("partition = \"defq\"\nqos = \"long\"\nmem = \"511G\"\ntime = \"3-0\"\n",
                                        {{"compute_environment", "slurm:a6000"}});
  EXPECT_EQ(moved.qos, "normal-a6000");
  EXPECT_EQ(moved.mem, "");
  EXPECT_EQ(moved.time, "");
  EXPECT_EQ(slurm_after("nodes = 99\n", {}).nodes, 1);
}

TEST(WizardCluster, AsksWhereToKeepRunsThatWouldFillAHome) {
  WizardFacts facts = prometheus_facts();
  const auto asks = [&] {
    const std::vector<WizardStep> steps = Wizard(facts).steps();
    return std::any_of(steps.begin(), steps.end(),
                       [](const WizardStep& step) { return step.question->id == "output_dir"; });
  };

  EXPECT_FALSE(asks());
  facts.clusters.front().profile.home = std::filesystem::current_path().parent_path().string();
  EXPECT_TRUE(asks());
}

TEST(WizardCluster, NamesSubmitFirst) {
  const std::string commands = next_commands(answered({}).outcome(), "my run.toml");

  EXPECT_THAT(commands, testing::StartsWith("  submit it      ferula submit 'my run.toml'\n"));
  const Answered large = answered({{"model", "custom"},
                                   {"family", "llama"},
                                   {"layers", "24"},
                                   {"width", "2048"},
                                   {"context", "2048"},
                                   {"num_gpus", "4"},
                                   {"zero_stage", "1"},
                                   {"micro_batch", "8"}});
  EXPECT_THAT(next_commands(large.outcome(), "large.toml"), HasSubstr("(refused until the memory suffices)"));
  EXPECT_THAT(commands, AllOf(HasSubstr("srun --partition=defq --qos=normal"), HasSubstr("--card 'RTX A5000'")));
}

}  // namespace
}  // namespace ferula
