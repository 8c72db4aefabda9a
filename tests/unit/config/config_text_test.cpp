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
    const bool can_be_auto =
        expectation_text(setting).find("\"auto\"") != std::string::npos && setting.limits.choices.empty();
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
  config.run.name = "quoted \"name\" \\ \t";
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
