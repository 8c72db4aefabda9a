// The guard before the parser: encoding, size, nesting, dotted depth; and that the parser survives what passes.
#include "config/toml_guard.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "config/toml_document.hpp"
#include "config_fixture.hpp"

namespace ferula {
namespace {

std::string repeated(const std::string& part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

TEST(TomlGuard, AcceptsValidUtf8OfEveryLength) {
  EXPECT_FALSE(first_invalid_utf8("a \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x94\xA5 \xED\x9F\xBF \xF4\x8F\xBF\xBF"));
}

TEST(TomlGuard, FindsTheFirstByteThatIsNotUtf8) {
  const std::vector<std::string> bad = {
      "\x80",         "\xFF",         "\xC0\xAF",     "\xC1\xBF",         "\xC3",  "\xE2\x82",  "\xE0\x80\x80",
      "\xED\xA0\x80", "\xF0\x80\x80", "\xF5\x80\x80", "\xF4\x90\x80\x80", "\xC3(", "\xE2(\xAC", "\xF0\x9F\x94"};
  for (const std::string& bytes : bad) {
    const auto found = first_invalid_utf8("ab" + bytes);

    ASSERT_TRUE(found.has_value()) << bytes.size();
    EXPECT_EQ(*found, 2u);
  }
}

TEST(TomlGuard, LimitsNestingAt64) {
  EXPECT_FALSE(refuse_toml("a = " + repeated("[", 64) + repeated("]", 64)));
  EXPECT_TRUE(refuse_toml("a = " + repeated("[", 65) + repeated("]", 65)));
  EXPECT_TRUE(refuse_toml(repeated("[", 20'000)));
  EXPECT_TRUE(refuse_toml("a = " + repeated("{a=", 65)));
}

TEST(TomlGuard, DoesNotCountBracketsInStringsAndComments) {
  const std::string brackets = repeated("[", 100);

  EXPECT_FALSE(refuse_toml("a = \"" + brackets + "\"\nb = '" + brackets + "'\n# " + brackets + "\n"));
  EXPECT_FALSE(refuse_toml("a = \"\"\"\n" + brackets + "\n\"\"\"\nb = '''\n" + brackets + "\n'''\n"));
  EXPECT_FALSE(refuse_toml("a = \"\\\"" + brackets + "\"\n"));
}

TEST(TomlGuard, LimitsDottedKeysAt16Parts) {
  EXPECT_FALSE(refuse_toml(repeated("a.", 15) + "a = 1"));
  EXPECT_TRUE(refuse_toml(repeated("a.", 16) + "a = 1"));
  EXPECT_TRUE(refuse_toml("[" + repeated("a.", 16) + "a]"));
}

TEST(TomlGuard, LimitsTheSizeAt1MiB) {
  const std::string line = "# 456789\n";
  const std::string comment = repeated(line, static_cast<int>(kMostConfigBytes / line.size()));

  EXPECT_FALSE(refuse_toml(comment));
  EXPECT_TRUE(refuse_toml(comment + line));
}

TEST(TomlGuard, LeavesALargeLegalFileUsable) {
  std::string text = kSmallest;
  while (text.size() + 50 < kMostConfigBytes) text += "# a comment that says nothing at all\n";

  EXPECT_EQ(load(text).config.training.steps.get(), 10);
}

TEST(TomlGuard, KeepsAFileFullOfMistakesCheap) {
  std::string text = kSmallest;
  const std::string comment(80, '#');
  for (int i = 0; text.size() + 100 < kMostConfigBytes; ++i) text += "k" + std::to_string(i) + " = 1 " + comment + "\n";

  EXPECT_EQ(mistakes_of(text).size(), 100u);
}

TEST(TomlGuard, ReportsTheLineOfABadByte) {
  const auto mistakes = mistakes_of("[run]\nname = \"\xFF\"\n");

  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_EQ(mistakes[0].where.line, 2);
  EXPECT_EQ(mistakes[0].message, "expected text in UTF-8, found a byte that is not UTF-8");
}

TEST(TomlGuard, RandomBytesEndInMistakesAndNeverElse) {
  std::mt19937 random(7);
  const std::string alphabet = "ab.=[]{}\"'\\\n# ,1-_\xC3\xA4:T";
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const auto length = random() % 60;
    for (unsigned i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    try {
      load(text);
    } catch (const ConfigMistakes& error) {
      EXPECT_FALSE(error.mistakes().empty());
    }
  }
}

}  // namespace
}  // namespace ferula
