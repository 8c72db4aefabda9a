// Options, positionals and what is said of a mistyped one.
#include "app/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "support/message_of.hpp"

namespace ferula {
namespace {

using test::message_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::array<OptionSpec, 5> kOptions{
    {{"set", "KEY=VALUE", ""}, {"seed", "N", ""}, {"temperature", "X", ""}, {"greedy", "", ""}, {"help", "", ""}}};

CommandLine parsed(const std::vector<std::string>& words) { return {"generate", kOptions, words}; }

TEST(CommandLine, CollectsRepeatedOptionsInTheirOrder) {
  const CommandLine line = parsed({"a.toml", "--set", "x=1", "--greedy", "--set=y=[1, 2]"});

  EXPECT_THAT(line.all("set"), ElementsAre("x=1", "y=[1, 2]"));
  EXPECT_THAT(line.positionals(), ElementsAre("a.toml"));
  EXPECT_TRUE(line.has("greedy"));
  EXPECT_FALSE(line.has("seed"));
}

TEST(CommandLine, TheLastOfSeveralValuesCounts) {
  EXPECT_EQ(parsed({"--seed", "1", "--seed", "2"}).integer("seed"), 2);
  EXPECT_EQ(parsed({"--temperature", "0.5"}).number("temperature"), 0.5);
  EXPECT_EQ(parsed({}).integer("seed"), std::nullopt);
}

TEST(CommandLine, KnowsTheShortFormOfHelp) { EXPECT_TRUE(parsed({"-h"}).has("help")); }

TEST(CommandLine, SuggestsTheNearestOption) {
  EXPECT_THAT(message_of<ConfigError>([] {
                parsed({"--temprature", "1"});
              }),
              AllOf(HasSubstr("no option '--temprature'"), HasSubstr("did you mean --temperature?")));
  EXPECT_THAT(message_of<ConfigError>([] { parsed({"--zzzzzzzzzz"}); }), HasSubstr("no option '--zzzzzzzzzz';"));
}

TEST(CommandLine, DoesNotGuessAbbreviations) {
  EXPECT_THAT(message_of<ConfigError>([] { parsed({"--gree"}); }), HasSubstr("no option '--gree'"));
}

TEST(CommandLine, RefusesAMissingValue) {
  EXPECT_THAT(message_of<ConfigError>([] { parsed({"--seed"}); }),
              AllOf(HasSubstr("--seed"), HasSubstr("ferula generate --help")));
}

TEST(CommandLine, RefusesWhatIsNoNumber) {
  EXPECT_THAT(message_of<ConfigError>([] {
                parsed({"--seed", "1x"}).integer("seed");
              }),
              HasSubstr("--seed expects a whole number of at least 0, found '1x'"));
  EXPECT_THAT(message_of<ConfigError>([] {
                parsed({"--seed", "0"}).integer("seed", 1);
              }),
              HasSubstr("at least 1, found '0'"));
  EXPECT_THAT(message_of<ConfigError>([] {
                parsed({"--temperature", "nan"}).number("temperature");
              }),
              HasSubstr("--temperature expects a number, found 'nan'"));
}

TEST(CommandLine, NamesTheLimitThatANumberIsBeyond) {
  const auto limited = [](const char* word) {
    return message_of<ConfigError>([&] { parsed({"--seed", word}).integer("seed", 1, 8); });
  };

  EXPECT_EQ(parsed({"--seed", "8"}).integer("seed", 1, 8), 8);
  for (const char* word : {"0", "9", "99999999999999999999"})
    EXPECT_EQ(limited(word),
              fmt::format("--seed expects a whole number of at least 1 and at most 8, found '{}'", word));
  EXPECT_THAT(message_of<ConfigError>([] {
                parsed({"--seed", "99999999999999999999"}).integer("seed");
              }),
              HasSubstr("at least 0 and at most 9223372036854775807"));
}

TEST(CommandLine, AsksForAMissingPositionalAndRefusesOneTooMany) {
  EXPECT_THAT(message_of<ConfigError>([] { parsed({}).positional(0, "a configuration"); }),
              HasSubstr("`ferula generate` expects a configuration"));
  EXPECT_THAT(message_of<ConfigError>([] { parsed({"a", "b"}).expect_at_most(1); }), HasSubstr("has no use for 'b'"));
}

}  // namespace
}  // namespace ferula
