// Every automatic value with its rule.
#include "config/resolve_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_text.hpp"
#include "config/setting.hpp"
#include "config_fixture.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

LoadedConfig resolved(const std::vector<std::string>& sets, const ResolveFacts& facts = {}) {
  return resolve_config(load(kSmallest, sets), facts);
}

TEST(ResolveConfig, DerivesTheShapeOfGpt2) {
  const ModelConfig model = resolved({"model.width=384", "model.heads=6"}, {.tokenizer_vocabulary = 257}).config.model;

  EXPECT_EQ(model.kv_heads.get(), 6);
  EXPECT_EQ(model.head_dim.get(), 64);
  EXPECT_EQ(model.ffn_width.get(), 1536);
  EXPECT_EQ(model.vocabulary.get(), 257);
  EXPECT_TRUE(model.tied_embeddings.get());
}

TEST(ResolveConfig, DerivesTheShapeOfLlama) {
  const ModelConfig model = resolved({"model.family=llama", "model.width=4096", "model.heads=32"}).config.model;

  EXPECT_EQ(model.ffn_width.get(), 10944);  // 8/3 · 4096 = 10922.7, up to 171 · 64
  EXPECT_FALSE(model.tied_embeddings.get());
}

TEST(ResolveConfig, LeavesGivenValuesAlone) {
  const LoadedConfig loaded = resolved({"model.kv_heads=2", "model.ffn_width=100", "model.tied_embeddings=false"});

  EXPECT_EQ(loaded.config.model.kv_heads.get(), 2);
  EXPECT_EQ(loaded.config.model.ffn_width.get(), 100);
  EXPECT_FALSE(loaded.config.model.tied_embeddings.get());
  EXPECT_EQ(loaded.sources.at("model.kv_heads").in_words(), "--set");
}

// 64 bits would not count their bytes.
TEST(ResolveConfig, RefusesSizesBeyondAllMeasure) {
  struct Case {
    std::vector<std::string> sets;
    std::string reason;
  };
  for (const Case& each :
       {Case{{"model.width=16777216", "model.layers=10000", "model.heads=65536"}, "expected at most 1e+15 parameters"},
        Case{{"model.context=65536", "data.sequence_length=65536", "training.train_micro_batch_size_per_gpu=32768",
              "training.train_batch_size=auto"},
             "expected at most 2^31 - 1 tokens"},
        Case{{"model.layers=10000", "model.width=2", "model.heads=65536", "model.head_dim=256", "model.ffn_width=2",
              "model.context=65536", "data.sequence_length=65536", "training.train_micro_batch_size_per_gpu=300",
              "training.train_batch_size=auto"},
             "1e+16 activations in all layers, found 1.966e+07 tokens and about"}}) {
    try {
      resolved(each.sets);
      FAIL() << each.reason;
    } catch (const ConfigMistakes& found) {
      ASSERT_EQ(found.mistakes().size(), 1U);
      EXPECT_THAT(found.mistakes()[0].message, HasSubstr(each.reason));
    }
  }
  EXPECT_NO_THROW(resolved({"model.context=65536", "data.sequence_length=65536",
                            "training.train_micro_batch_size_per_gpu=32767", "training.train_batch_size=auto"}));
}

TEST(ResolveConfig, LeavesNothingAutomatic) {
  for (const char* length : {"training.steps=20", "training.steps=1e3"}) {
    LoadedConfig loaded = resolved({length, "bf16.enabled=auto", "scheduler.type=WarmupLR"},
                                   {.data_parallel_ranks = 4, .training_samples = 100});

    for (const Setting& setting : settings_of(loaded.config)) {
      const bool is_of_the_cluster = setting.key.starts_with("slurm.");  // `ferula submit` asks its profile
      EXPECT_TRUE(is_of_the_cluster || !setting.is_auto()) << setting.key;
    }
    EXPECT_NE(loaded.config.zero_optimization.shard_size, "all");
  }
}

TEST(ResolveConfig, GivesEachAutomaticValueARuleWithItsNumbers) {
  const LoadedConfig loaded = resolved({"bf16.enabled=auto"}, {.data_parallel_ranks = 2, .training_samples = 100});

  EXPECT_EQ(loaded.sources.at("model.kv_heads").in_words(), "auto: model.heads is 8");
  EXPECT_EQ(loaded.sources.at("model.ffn_width").in_words(), "auto: 4 · width = 4 · 256");
  EXPECT_EQ(loaded.sources.at("bf16.enabled").in_words(), "auto: the device does not compute bf16 natively");
  EXPECT_EQ(loaded.sources.at("zero_optimization.shard_size").in_words(), "auto: all 2 data-parallel ranks");
  EXPECT_EQ(loaded.sources.at("training.train_micro_batch_size_per_gpu").in_words(),
            "auto: 8 = micro batch 4 · accumulation 1 · 2 data-parallel ranks");
  EXPECT_EQ(loaded.sources.at("optimizer.params.lr").in_words(), "default");
}

TEST(ResolveConfig, TurnsBf16OnWhereTheDeviceHasIt) {
  EXPECT_TRUE(resolved({"bf16.enabled=auto"}, {.device = {.has_native_bf16 = true}}).config.bf16.enabled.get());
  EXPECT_FALSE(resolved({"bf16.enabled=auto"}).config.bf16.enabled.get());
  EXPECT_FALSE(resolved({}, {.device = {.has_native_bf16 = true}}).config.bf16.enabled.get());
}

TEST(ResolveConfig, ChoosesTheDeviceThatTheProcessSees) {
  const DeviceFacts gpu{.kind = "cuda", .reason = "this process sees a GPU"};

  const LoadedConfig found = resolved({}, {.device = gpu});
  const LoadedConfig asked = resolved({"run.device=cpu"}, {.device = gpu});

  EXPECT_EQ(found.config.run.device, "cuda");
  EXPECT_EQ(found.sources.at("run.device").in_words(), "auto: this process sees a GPU");
  EXPECT_EQ(asked.config.run.device, "cpu");
  EXPECT_EQ(asked.sources.at("run.device").in_words(), "--set");
}

TEST(ResolveConfig, OverlapsCommunicationAtTheHighestStage) {
  for (int stage = 0; stage <= 3; ++stage) {
    const Config config = resolved({"zero_optimization.stage=" + std::to_string(stage)}).config;

    EXPECT_EQ(config.zero_optimization.overlap_comm.get(), stage == 3);
  }
}

TEST(ResolveConfig, SizesStageThreeByTheWidthAsHuggingFaceDoes) {
  const ZeroConfig zero = resolved({"model.width=768",
                                    "zero_optimization={stage=3, stage3_prefetch_bucket_size=\"auto\", "
                                    "stage3_param_persistence_threshold=\"auto\"}"})
                              .config.zero_optimization;

  EXPECT_EQ(zero.stage3_prefetch_bucket_size.get(), 530'841);  // int(0.9 · 768²)
  EXPECT_EQ(zero.stage3_param_persistence_threshold.get(), 7680);
  EXPECT_EQ(resolved({}).config.zero_optimization.stage3_prefetch_bucket_size.get(), 50'000'000);
}

TEST(ResolveConfig, ConvertsEpochsAndSteps) {
  const ResolveFacts facts{.training_samples = 100};
  const TrainingConfig from_epochs = resolved({"training.steps=auto", "training.epochs=1.5", "scheduler.type=linear",
                                               "scheduler.params.warmup_num_steps=1"},
                                              facts)
                                         .config.training;
  const TrainingConfig from_steps = resolved({"training.steps=50"}, facts).config.training;

  EXPECT_EQ(from_epochs.steps.get(), 19);  // 150 samples in batches of 8
  EXPECT_EQ(from_epochs.epochs.get(), 1.5);
  EXPECT_EQ(from_steps.epochs.get(), 4.0);
}

TEST(ResolveConfig, WaitsForTheDataWhereEpochsNeedIt) {
  const Config config = resolved({"training.steps=auto", "training.epochs=2"}).config;

  EXPECT_TRUE(config.training.steps.is_auto());
  EXPECT_EQ(config.training.epochs.get(), 2.0);
}

TEST(ResolveConfig, GivesTheSchedulerItsLengthAndPeak) {
  const SchedulerParams params =
      resolved({"scheduler.type=WarmupDecayLR", "scheduler.params.warmup_num_steps=3", "optimizer.params.lr=0.5"})
          .config.scheduler.params;

  EXPECT_EQ(params.total_num_steps.get(), 10);
  EXPECT_EQ(params.warmup_max_lr.get(), 0.5);
}

TEST(ResolveConfig, WarnsOfAScheduleThatEndsBeforeTheRun) {
  const auto warnings_with = [](const std::string& total) {
    return config_warnings(resolved({"scheduler.type=WarmupCosineLR", "scheduler.params.warmup_num_steps=3",
                                     "scheduler.params.total_num_steps=" + total}));
  };

  EXPECT_THAT(warnings_with("9"), testing::ElementsAre(HasSubstr("total_num_steps = 9 ends the schedule before")));
  EXPECT_THAT(warnings_with("10"), testing::IsEmpty());
  EXPECT_THAT(warnings_with("\"auto\""), testing::IsEmpty());
}

TEST(ResolveConfig, WarnsOfAPeakThatDeepSpeedWouldChooseOtherwise) {
  const std::vector<std::string> decays = {"scheduler.type=WarmupDecayLR", "scheduler.params.warmup_num_steps=3"};
  std::vector<std::string> with_peak = decays;
  with_peak.emplace_back("scheduler.params.warmup_max_lr=0.001");

  EXPECT_THAT(config_warnings(resolved(decays)), testing::ElementsAre(HasSubstr("in DeepSpeed to 0.001")));
  EXPECT_THAT(config_warnings(resolved(with_peak)), testing::IsEmpty());
  EXPECT_THAT(config_warnings(resolved({"scheduler.type=WarmupLR"})), testing::IsEmpty());
}

TEST(ResolveConfig, AcceptsExactlyTheDivisorsAsShardSize) {
  for (std::int64_t ranks = 1; ranks <= 12; ++ranks) {
    for (std::int64_t size = 1; size <= 13; ++size) {
      const auto mistakes = mistakes_of(kSmallest,
                                        {"zero_optimization.shard_size=" + std::to_string(size),
                                         "training.train_batch_size=auto", "training.train_micro_batch_size_per_gpu=1"},
                                        {}, {.data_parallel_ranks = ranks});

      EXPECT_EQ(mistakes.empty(), ranks % size == 0) << ranks << ' ' << size << '\n' << shown(mistakes);
    }
  }
}

TEST(ResolveConfig, ReportsAllMistakesWithTheFactsAtOnce) {
  const auto mistakes =
      mistakes_of(kSmallest, {"model.vocabulary=10", "zero_optimization.shard_size=3", "training.train_batch_size=9"},
                  {}, {.data_parallel_ranks = 2});

  ASSERT_EQ(mistakes.size(), 3u) << shown(mistakes);
}

TEST(ResolveConfig, ReportsTheBatchTogetherWithEveryOtherMistake) {
  const std::string text =
      "[run]\nsead = 1\n[data]\ntext = \"a.txt\"\n[model]\nvocabulary = 10\n[training]\nsteps = 10\n"
      "train_batch_size = 33\ntrain_micro_batch_size_per_gpu = 8\ngradient_accumulation_steps = 2\n"
      "[optimizer.params]\nlr = \"fast\"\n[scheduler]\ntype = \"cosine\"\n[fp16]\nenabled = true\n"
      "[zero_optimization]\nshard_size = 3\n";

  const auto mistakes = mistakes_of(text, {}, {}, {.data_parallel_ranks = 2});

  std::vector<std::string> found;
  for (const ConfigMistake& mistake : mistakes) found.push_back(mistake.where.label() + " " + mistake.key);
  EXPECT_EQ(found, (std::vector<std::string>{"test.toml:2:1 run.sead", "test.toml:6:14 model.vocabulary",
                                             "test.toml:9:20 training.train_batch_size",
                                             "test.toml:13:6 optimizer.params.lr", "test.toml:15:8 scheduler.type",
                                             "test.toml:16:2 fp16", "test.toml:19:14 zero_optimization.shard_size"}))
      << shown(mistakes);
  EXPECT_THAT(shown(mistakes),
              HasSubstr("train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * world_size "
                        "33 != 8 * 2 * 2\n"
                        " 9 | train_batch_size = 33\n"
                        "   |                    ^^\n"
                        "   see training.train_micro_batch_size_per_gpu at test.toml:10:34\n"
                        "   see training.gradient_accumulation_steps at test.toml:11:31\n"
                        "   fix: for 2 data-parallel ranks these are legal:\n"
                        "     train_batch_size = 32, train_micro_batch_size_per_gpu = 8, "
                        "gradient_accumulation_steps = 2\n"));
}

TEST(ResolveConfig, DoesNotJudgeABatchWithAWrongValue) {
  for (const char* wrong : {"training.train_micro_batch_size_per_gpu=many", "training.train_batch_size=-9"}) {
    const auto mistakes = mistakes_of(kSmallest, {"training.train_batch_size=9", wrong}, {},
                                      {.data_parallel_ranks = 2, .training_samples = 100});

    EXPECT_EQ(mistakes.size(), 1u) << shown(mistakes);
  }
}

TEST(ResolveConfig, SaysOnceThatTheLengthIsMissing) {
  const auto mistakes = mistakes_of("[data]\ntext = \"a.txt\"\n", {}, {}, {.training_samples = 100});

  ASSERT_EQ(mistakes.size(), 2u) << shown(mistakes);
  EXPECT_THAT(shown(mistakes), HasSubstr("expected training.steps or training.epochs, found neither"));
  EXPECT_THAT(shown(mistakes), HasSubstr("Either train_batch_size or train_micro_batch_size_per_gpu"));
}

TEST(ResolveConfig, NeedsNoBatchForInference) {
  const ResolveFacts facts{.data_parallel_ranks = 3, .use = ConfigUse::inference};
  const Config config = resolved({"training.train_micro_batch_size_per_gpu=5"}, facts).config;

  EXPECT_EQ(config.training.train_batch_size.get(), 8);
  EXPECT_EQ(config.training.gradient_accumulation_steps.get(), 1);
  EXPECT_FALSE(config.training.epochs.is_auto());
}

TEST(ResolveConfig, IsIdempotentThroughText) {
  const ResolveFacts facts{.data_parallel_ranks = 2, .training_samples = 1000};
  const Config once = resolved({"scheduler.type=WarmupCosineLR", "scheduler.params.warmup_num_steps=2"}, facts).config;

  const Config twice = resolve_config(load(to_toml(once)), facts).config;

  EXPECT_EQ(once, twice) << to_toml(once);
}

}  // namespace
}  // namespace ferula
