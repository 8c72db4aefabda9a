// Text of a configuration: round trip, rows, digest, differences, templates, reference.
#include "config/config_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <type_traits>

#include "config/config_reference.hpp"
#include "config/config_template.hpp"
#include "config/setting_value.hpp"
#include "config_fixture.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

/// Where a member lies in its Config.
struct MemberPlace {
  std::size_t begin = 0;
  std::size_t size = 0;
  std::size_t alignment = 1;
};

MemberPlace place_in(const Config& config, const Setting& setting) {
  return std::visit(
      [&](const auto* member) {
        const auto offset = reinterpret_cast<const char*>(member) - reinterpret_cast<const char*>(&config);
        return MemberPlace{static_cast<std::size_t>(offset), sizeof(*member),
                           alignof(std::remove_cvref_t<decltype(*member)>)};
      },
      setting.target);
}

// A member without a description leaves a hole between its neighbours that alignment does not explain.
TEST(Settings, DescribeEveryByteOfTheConfiguration) {
  Config config;
  std::map<std::size_t, MemberPlace> places;
  for (const Setting& setting : settings_of(config)) {
    const MemberPlace place = place_in(config, setting);
    EXPECT_TRUE(places.emplace(place.begin, place).second) << setting.key << " is described twice";
  }
  const auto aligned = [](std::size_t offset, std::size_t to) { return (offset + to - 1) / to * to; };

  std::size_t end = 0;
  for (const auto& [begin, place] : places) {
    const bool in_its_section = begin == aligned(end, place.alignment);
    const bool starts_a_section = begin == aligned(end, alignof(Config));
    EXPECT_TRUE(in_its_section || starts_a_section) << "a member before byte " << begin << " has no description";
    end = begin + place.size;
  }
  EXPECT_EQ(aligned(end, alignof(Config)), sizeof(Config));
}

TEST(Settings, HelpIsOneSentenceAndDefaultsAreLegal) {
  Config config;
  for (Setting& setting : settings_of(config)) {
    EXPECT_TRUE(setting.help.ends_with('.')) << setting.key;
    const std::string text = value_text(setting);
    if (text == "\"\"" || text == "[]") continue;
    EXPECT_FALSE(assign(setting, parse_toml_value(text, {}))) << setting.key << " = " << text;
  }
  EXPECT_EQ(config, Config());
}

TEST(Settings, OnlyAutomaticOnesHaveARule) {
  Config config;
  for (const Setting& setting : settings_of(config)) {
    const bool can_be_auto = expectation_text(setting).find("\"auto\"") != std::string::npos;
    EXPECT_EQ(can_be_auto, !setting.auto_rule.empty()) << setting.key;
  }
}

TEST(ConfigText, LoadsBackToTheSameConfiguration) {
  for (const auto& path : shipped_configs()) {
    const Config config = load(read_text(path)).config;

    EXPECT_EQ(load(to_toml(config)).config, config) << path;
    EXPECT_EQ(load(to_toml(config, TomlComments::help)).config, config) << path;
  }
}

TEST(ConfigText, KeepsEveryBitOfEveryNumber) {
  Config config = load(kSmallest).config;
  config.optimizer.params.lr = 0.1 + 0.2;
  config.model.norm_eps = 4.9e-324;
  config.run.seed = 9223372036854775807;
  config.run.output_dir = "quoted \"name\" \\ \t";
  config.optimizer.params.betas = {1.0 / 3.0, 0.0};
  config.optimizer.no_decay = {};
  config.zero_optimization.shard_size = "3";

  EXPECT_EQ(load(to_toml(config)).config, config) << to_toml(config);
}

TEST(ConfigText, RoundTripsEveryType) {
  for (const std::string optimizer : {"AdamW", "Adam", "SGD", "Lion"}) {
    for (const std::string scheduler :
         {"constant", "linear", "cosine", "WarmupLR", "WarmupDecayLR", "WarmupCosineLR"}) {
      const Config config = load(kSmallest, {"optimizer.type=" + optimizer, "scheduler.type=" + scheduler}).config;

      EXPECT_EQ(load(to_toml(config)).config, config) << optimizer << ' ' << scheduler;
    }
  }
}

TEST(ConfigText, ShowsValuesWithTheirSources) {
  const auto rows = config_rows(resolve_config(load(kSmallest, {"run.seed=3"}), {}));
  const auto row = [&](const std::string& key) {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const ConfigRow& r) { return r.key == key; });
    return found == rows.end() ? std::string("none") : found->value + " | " + found->source;
  };

  EXPECT_EQ(row("run.seed"), "3 | --set");
  EXPECT_EQ(row("training.steps"), "10 | test.toml:4");
  EXPECT_EQ(row("model.kv_heads"), "8 | auto: model.heads is 8");
  EXPECT_EQ(row("optimizer.params.momentum"), "none");
}

TEST(ConfigText, FindsTheDifferencesThatMatterToAResumedRun) {
  const Config before = resolve_config(load(kSmallest), {}).config;
  Config after = before;
  after.run.name = "other";
  after.zero_optimization.stage = 3;
  after.checkpoint.every_steps = 7;
  after.optimizer.params.lr = 0.5;
  after.model.layers = 12;

  const auto differences = differences_that_matter(before, after);

  ASSERT_EQ(differences.size(), 2u);
  EXPECT_EQ(differences[0].key, "model.layers");
  EXPECT_EQ(differences[0].effect, ResumeEffect::incompatible);
  EXPECT_EQ(differences[1].key, "optimizer.params.lr");
  EXPECT_EQ(differences[1].before + " -> " + differences[1].after, "0.001 -> 0.5");
  EXPECT_EQ(differences[1].effect, ResumeEffect::changes_training);
}

TEST(ConfigText, ParametersThatNeitherTypeReadsMakeNoDifference) {
  const Config before = resolve_config(load(kSmallest), {}).config;
  Config after = before;
  after.scheduler.params.total_num_steps = 77;
  EXPECT_EQ(before.scheduler.type, "constant");

  EXPECT_TRUE(differences_that_matter(before, after).empty());

  after.scheduler.type = "linear";
  EXPECT_EQ(differences_that_matter(before, after).size(), 2u);
}

TEST(ConfigText, DigestFollowsWhatMattersAndNothingElse) {
  const Config config = load(kSmallest).config;
  Config other_layout = config;
  other_layout.zero_optimization.stage = 2;
  other_layout.run.output_dir = "elsewhere";
  Config other_rate = config;
  other_rate.optimizer.params.lr = 2e-3;

  EXPECT_EQ(config_digest(config), config_digest(other_layout));
  EXPECT_NE(config_digest(config), config_digest(other_rate));
}

TEST(ConfigTemplate, EveryPresetLoadsAndResolves) {
  for (const ConfigPreset& preset : config_presets()) {
    const std::string text = new_config_toml(preset.name, {});

    EXPECT_TRUE(mistakes_of(text).empty()) << text;
  }
}

TEST(ConfigTemplate, TakesWishesForEveryStage) {
  for (int stage = 0; stage <= 3; ++stage) {
    const std::vector<std::string> sets = {"zero_optimization.stage=" + std::to_string(stage), "bf16.enabled=false"};

    const Config config = load(new_config_toml("small", sets)).config;

    EXPECT_EQ(config.zero_optimization.stage, stage);
    EXPECT_FALSE(config.bf16.enabled.get());
  }
}

/// Sets that are legal by themselves and contradict one preset or another.
const std::vector<std::string> kLegalSets[] = {
    {"data.tokens=corpus.h5"},
    {"data.text=[]", "data.tokens=corpus.h5"},
    {"training.steps=7"},
    {"training.steps=1"},
    {"training.steps=auto", "training.epochs=2"},
    {"training.epochs=0.5"},
    {"training.train_batch_size=6"},
    {"training.train_batch_size=9", "training.gradient_accumulation_steps=3"},
    {"training.train_micro_batch_size_per_gpu=5"},
    {"training.gradient_accumulation_steps=7"},
    {"data.validation_fraction=0"},
    {"data.sequence_length=64"},
    {"model.context=128"},
    {"model.context=128", "training.steps=5", "data.tokens=corpus.h5"},
    {"model.heads=2", "model.width=64"},
    {"model.heads=2", "model.kv_heads=1", "model.width=64"},
    {"model.family=gpt2"},
    {"model.family=llama"},
    {"model.vocabulary=256"},
    {"optimizer.type=SGD"},
    {"optimizer.type=SGD", "optimizer.params.momentum=0.9"},
    {"optimizer.type=Lion"},
    {"optimizer.type=Adam", "optimizer.params.adam_w_mode=false"},
    {"scheduler.type=constant"},
    {"scheduler.type=WarmupLR", "scheduler.params.warmup_max_lr=0.1"},
    {"scheduler.type=linear", "training.steps=20"},
    {"scheduler.params.total_num_steps=9"},
    {"scheduler.params.warmup_num_steps=3", "training.steps=3"},
    {"bf16.enabled=false"},
    {"zero_optimization.stage=3"},
    {"checkpoint.every_steps=0"},
};

TEST(ConfigTemplate, GivesWayToEveryLegalSet) {
  for (const ConfigPreset& preset : config_presets()) {
    for (const std::vector<std::string>& sets : kLegalSets) {
      const std::string text = new_config_toml(preset.name, sets);

      EXPECT_TRUE(mistakes_of(text).empty()) << preset.name << ' ' << sets.front() << '\n' << shown(mistakes_of(text));
      const Config with_sets = load(text, sets).config;
      EXPECT_EQ(load(text).config, with_sets) << preset.name << ' ' << sets.front() << " was not written";
    }
  }
}

TEST(ConfigTemplate, ShortensTheWarmUpToATenthOfAShortRun) {
  const std::vector<std::string> short_run = {"training.steps=40"}, long_run = {"training.steps=4000"};

  EXPECT_EQ(load(new_config_toml("small", short_run)).config.scheduler.params.warmup_num_steps, 4);
  EXPECT_EQ(load(new_config_toml("small", long_run)).config.scheduler.params.warmup_num_steps, 50);
}

TEST(ConfigTemplate, FitsTheBatchToTheRanks) {
  const ResolveFacts three{.data_parallel_ranks = 3};
  const std::vector<std::string> sets = {"training.train_batch_size=24"};

  EXPECT_TRUE(mistakes_of(new_config_toml("small", sets, three), {}, {}, three).empty());
}

TEST(ConfigTemplate, LeavesTheBatchToTheRanksWhereTheUserGivesMicroBatches) {
  for (const char* accumulation : {"3", "4", "5"}) {
    const std::vector<std::string> sets = {"training.train_micro_batch_size_per_gpu=8",
                                           std::string("training.gradient_accumulation_steps=") + accumulation};
    const std::string written = new_config_toml("small", sets);

    EXPECT_THAT(written, HasSubstr("train_batch_size = \"auto\"")) << accumulation;
    EXPECT_TRUE(mistakes_of(written, {}, {}, {.data_parallel_ranks = 2}).empty()) << accumulation;
  }
}

TEST(ConfigTemplate, KeepsTheBatchWhereNoMicroBatchIsLeft) {
  const std::vector<std::string> sets = {"training.train_micro_batch_size_per_gpu=auto",
                                         "training.gradient_accumulation_steps=2"};

  EXPECT_THAT(new_config_toml("small", sets), HasSubstr("train_batch_size = 32"));
}

TEST(ConfigTemplate, TellsMistakesOfTheUsersOwnWithBothPlaces) {
  const std::vector<std::string> sets = {"scheduler.params.warmup_num_steps=600"};
  try {
    new_config_toml("small", sets);
    FAIL();
  } catch (const ConfigMistakes& found) {
    ASSERT_EQ(found.mistakes().size(), 1u) << shown(found.mistakes());
    EXPECT_EQ(found.mistakes()[0].where.label(), "--set");
    EXPECT_THAT(shown(found.mistakes()), HasSubstr("see training.steps at preset small:"));
  }
}

TEST(ConfigTemplate, RefusesUnknownPresetsAndWrongWishes) {
  const std::vector<std::string> wrong = {"zero_optimization.stage=9"};

  EXPECT_THROW(new_config_toml("small", wrong), ConfigMistakes);
  try {
    new_config_toml("smal", {});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'small'?"));
  }
}

TEST(ConfigReference, EqualsTheDocument) {
  const bool equal = config_keys_markdown() == read_text(source_root() / "docs" / "configuration.md");

  EXPECT_TRUE(equal) << "run: ferula config keys --markdown > docs/configuration.md";
}

TEST(ConfigReference, NamesEverySettingAndFilters) {
  Config config;
  const std::string all = config_keys_text();
  for (const Setting& setting : settings_of(config)) EXPECT_THAT(all, HasSubstr(setting.key + "\n"));

  EXPECT_THAT(config_keys_text("model.layers"), HasSubstr("from 1 to 10000"));
  EXPECT_THAT(config_keys_text("offload_param"), HasSubstr("does not exist yet"));
  EXPECT_EQ(config_keys_text("model.layers").find("model.width"), std::string::npos);
}

}  // namespace
}  // namespace ferula
