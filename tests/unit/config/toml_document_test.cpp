// The tree of a document: values, and the places of keys and values.
#include "config/toml_document.hpp"

#include <gtest/gtest.h>

#include "config/toml_lexer.hpp"
#include "config_fixture.hpp"

namespace ferula {
namespace {

const TomlNode::Table& table_of(const TomlNode& node) { return std::get<TomlNode::Table>(node.value); }

TEST(TomlDocument, KnowsThePlaceOfKeysAndValues) {
  const TomlNode root = parse_toml("# h\xC3\xA4\n[one]\n  key = \"v\xC3\xA4lue\"  # c\n", "x.toml");

  const TomlEntry& one = table_of(root).at("one");
  const TomlEntry& key = table_of(one.node).at("key");
  EXPECT_EQ(one.key.label(), "x.toml:2:2");
  EXPECT_EQ(key.key.label(), "x.toml:3:3");
  EXPECT_EQ(key.key.length, 3);
  EXPECT_EQ(key.node.where.label(), "x.toml:3:9");
  EXPECT_EQ(key.node.where.length, 7);
}

TEST(TomlDocument, FindsKeysWhereverTheyStand) {
  const std::string text =
      "top = 1\r\n"
      "a.b . \"c\" = [1, { x = '#', y = [2] }, \"]\"]\n"
      "[t.u]\n"
      "s = \"\"\"quote \"\" = [ \\\"\"\"\" \n"
      "i = { j = { k = 1 }, l = \"}\" } # m = 1\n"
      "[[list]]\n"
      "d = 1979-05-27T07:32:00Z\n"
      "'quoted key' = 1\n";
  const auto keys = find_keys(text);

  std::vector<std::string> names;
  for (const auto& [name, range] : keys) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"a.b.c", "a.b.c.x", "a.b.c.y", "list", "list.d", "list.quoted key", "t.u",
                                             "t.u.i", "t.u.i.j", "t.u.i.j.k", "t.u.i.l", "t.u.s", "top"}));
  EXPECT_EQ(text.substr(keys.at("t.u.i.j").value.offset, keys.at("t.u.i.j").value.length), "{ k = 1 }");
  EXPECT_EQ(SourceText(text, "x").at(keys.at("t.u.i.l").key).label(), "x:5:22");
}

TEST(TomlDocument, MarksNumbersThatDoNotFit) {
  const TomlNode root =
      parse_toml("a = 9223372036854775807\nb = 9223372036854775808\nc = 1e999\nd = -9_223_372_036_854_775_808\n", "x");

  EXPECT_TRUE(std::holds_alternative<std::int64_t>(table_of(root).at("a").node.value));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(table_of(root).at("b").node.value));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(table_of(root).at("c").node.value));
  EXPECT_TRUE(std::holds_alternative<std::int64_t>(table_of(root).at("d").node.value));
}

TEST(TomlDocument, TakesBareWordsAsStrings) {
  const auto kind = [](const std::string& text) { return parse_toml_value(text, {}).in_words(); };

  EXPECT_EQ(kind("5"), "the integer 5");
  EXPECT_EQ(kind("1e-4"), "the number 0.0001");
  EXPECT_EQ(kind("true"), "true");
  EXPECT_EQ(kind("[1, 2]"), "a list of 2 values");
  EXPECT_EQ(kind("book.txt"), "the string \"book.txt\"");
  EXPECT_EQ(kind("\"quoted\""), "the string \"quoted\"");
  EXPECT_EQ(kind(""), "the string \"\"");
  EXPECT_EQ(kind("1\nother = 2"), "the string \"1\\nother = 2\"");
}

TEST(TomlDocument, ReportsTheFirstSyntaxErrorWithItsLine) {
  struct Case {
    std::string text;
    std::int64_t line;
    std::string fix;  // a part of it
  };
  const std::vector<Case> cases = {
      {"[run]\nname = \n", 2, ""},
      {"[run]\nname = \"a\"\nname = \"b\"\n", 3, "once"},
      {"[run]\n[model]\n[run]\n", 3, ""},
      {"[bf16]\nenabled = True\n", 2, "lower case"},
      {"[run]\nseed: 1\n", 2, "not key: value"},
      {"[run]\n\nname = \"open\n", 3, ""},
      {"[run\nseed = 1\n", 1, ""},
      {"[run]\nseed = 1 2\n", 2, ""},
      {"[run]\nname = gpt2\n", 2, "quotes"},
  };
  for (const Case& c : cases) {
    const auto mistakes = mistakes_of(c.text);

    ASSERT_EQ(mistakes.size(), 1u) << c.text;
    EXPECT_EQ(mistakes[0].where.line, c.line) << mistakes[0].shown();
    EXPECT_TRUE(mistakes[0].message.starts_with("not valid TOML: ")) << mistakes[0].shown();
    EXPECT_NE(mistakes[0].fix.find(c.fix), std::string::npos) << mistakes[0].shown();
    EXPECT_FALSE(mistakes[0].fix.empty());
  }
}

TEST(TomlDocument, QuotesSoThatParsingGivesTheTextBack) {
  for (const std::string& text : {std::string("plain"), std::string("a\"b\\c\n\t\x01\x7f"), std::string("\xC3\xA4")}) {
    EXPECT_EQ(std::get<std::string>(parse_toml_value(toml_quoted(text), {}).value), text);
  }
}

TEST(TomlDocument, AListWithoutItsEndIsReportedWhereItBegins) {
  for (const std::string below : {"", "c = 1\n", "[next]\n", "\n\n  x.y = [2]\n"}) {
    try {
      parse_toml("a = 1\nb = [1, 2  # not closed\n" + below, "t.toml");
      FAIL() << below;
    } catch (const ConfigMistakes& error) {
      EXPECT_EQ(error.mistakes()[0].where.label(), "t.toml:2:5") << below;
      EXPECT_NE(error.mistakes()[0].message.find("has no end"), std::string::npos) << error.what();
    }
  }
}

TEST(TomlDocument, AMistakeWithinALongListStaysAtItsLine) {
  try {
    parse_toml("b = [\n  1,\n  2 3,\n]\n", "t.toml");
    FAIL();
  } catch (const ConfigMistakes& error) {
    EXPECT_EQ(error.mistakes()[0].where.line, 3);
  }
}

}  // namespace
}  // namespace ferula
