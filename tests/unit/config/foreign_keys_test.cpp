// Every key that a user of DeepSpeed, Hugging Face's Trainer or accelerate may bring is supported, or answered with its
// place, its name here, the feature that does not exist yet, or the reason why it has no meaning. None is just unknown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "config/foreign_names.hpp"
#include "config/setting.hpp"
#include "config_fixture.hpp"
#include "support/foreign_keys.hpp"

namespace ferula {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

void expect_answer(const std::string& section, const std::string& key) {
  const std::string path = section.empty() ? key : section + "." + key;
  const auto mistakes =
      section.empty() ? mistakes_of(path + " = 1\n" + kSmallest) : mistakes_of(kSmallest, {path + "=1"});

  ASSERT_EQ(mistakes.size(), 1u) << path << "\n" << shown(mistakes);
  EXPECT_THAT(mistakes[0].where.label(), HasSubstr(section.empty() ? "test.toml:1:" : "--set"));
  EXPECT_FALSE(mistakes[0].fix.empty()) << path;
  EXPECT_THAT(shown(mistakes),
              AnyOf(HasSubstr("stands under ["), HasSubstr("' is called "),
                    HasSubstr("feature that does not exist yet: "), HasSubstr("has no meaning here because "),
                    HasSubstr("please switch to using"), HasSubstr("] on a line of its own")))
      << path;
}

TEST(ForeignKeys, EveryKeyOfDeepSpeedIsAnswered) {
  for (const KeysOfSection& each : kDeepSpeed)
    for (const std::string& key : each.keys) expect_answer(each.section, key);
}

TEST(ForeignKeys, EveryKeyOfHuggingFaceAndAccelerateIsAnswered) {
  for (const char* key : kHuggingFace) expect_answer("", key);
  for (const char* key : kAccelerate) expect_answer("", key);
}

struct Answer {
  std::string set;
  std::string message;
};

const Answer kAnswers[] = {
    {"fp16={enabled=true}", "does not exist yet: fp16 with loss scaling"},
    {"training.loss_scale=0", "does not exist yet: fp16 with loss scaling"},
    {"zero_optimization.offload_optimizer={device=\"nvme\"}", "does not exist yet"},
    {"zero_optimization.offload_optimizer.nvme_path=\"/scratch\"", "does not exist yet: state on NVMe"},
    {"zero_optimization.cpu_offload=true",
     "'zero_optimization.cpu_offload' is called zero_optimization.offload_optimizer.device here"},
    {"training.offload_param=true", "does not exist yet: offload of parameters"},
    {"wandb={enabled=true}", "does not exist yet: monitoring services"},
    {"tensorboard={enabled=true}", "does not exist yet: monitoring services"},
    {"pipeline={stages=2}", "does not exist yet: pipeline parallelism"},
    {"tensor_parallel={autotp_size=2}", "does not exist yet: tensor parallelism"},
    {"slurm.gres=gpu", "'slurm.gres' is called slurm.gpus_per_node here"},
    {"training.learning_rate=1e-3", "'training.learning_rate' is called optimizer.params.lr here"},
    {"zero_optimization.reduce_bucket_size=5e8", "has no meaning here because gradients are reduced a unit at a time"},
    {"model.hidden_size=64", "'model.hidden_size' is called model.width here"},
};

TEST(ForeignKeys, TheAnswerNamesFeatureReasonOrName) {
  for (const Answer& each : kAnswers) {
    const auto mistakes = mistakes_of(kSmallest, {each.set});

    ASSERT_EQ(mistakes.size(), 1u) << each.set << "\n" << shown(mistakes);
    EXPECT_THAT(mistakes[0].message, HasSubstr(each.message));
  }
}

TEST(ForeignKeys, ARenamedKeyIsNotReportedAsMissingToo) {
  const auto mistakes =
      mistakes_of("[data]\ndataset = \"a.txt\"\n[training]\nmax_steps = 5\nper_device_train_batch_size = 4\n");

  ASSERT_EQ(mistakes.size(), 3u) << shown(mistakes);
  EXPECT_EQ(mistakes[2].fix, "write `train_micro_batch_size_per_gpu` under [training]");
}

TEST(ForeignKeys, NoneIsANameOfOurs) {
  Config config;
  std::set<std::string> ours;
  for (const Setting& setting : settings_of(config)) ours.insert(setting.name());
  for (const ForeignName& foreign : foreign_names()) {
    EXPECT_FALSE(ours.contains(foreign.refused.key)) << foreign.refused.key;
    for (const std::string& key : foreign.ours) EXPECT_TRUE(load(kSmallest).sources.contains(key)) << key;
  }
}

/// A configuration with [compile], which nothing reads yet: legal without it, refused as a whole with it.
TEST(ForeignKeys, ASectionOfAFeatureToComeIsTheOnlyMistake) {
  const std::string text = read_text(source_root() / "configs" / "quickstart.toml");

  EXPECT_TRUE(mistakes_of(text).empty());
  const auto mistakes = mistakes_of(text + "\n[compile]\nbackend = \"inductor\"\n");

  ASSERT_EQ(mistakes.size(), 1u) << shown(mistakes);
  EXPECT_EQ(mistakes[0].message, "'compile' belongs to a feature that does not exist yet: compilation of the model");
  EXPECT_THAT(mistakes[0].where.text, HasSubstr("[compile]"));
}

}  // namespace
}  // namespace ferula
