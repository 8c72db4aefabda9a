// Prompts from JSON lines, and what is said of a bad line.
#include "app/prompts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::FieldsAre;
using testing::HasSubstr;

class Prompts : public testing::Test {
 protected:
  std::string written(const std::string& text) const { return scratch_.write("prompts.jsonl", text); }
  std::string refusal(const std::string& text) const {
    try {
      read_prompts(written(text));
    } catch (const DataError& error) {
      return error.what();
    }
    return "nothing was refused";
  }

  ScratchDirectory scratch_;
};

TEST_F(Prompts, ReadsStringsAndObjectsAndSkipsEmptyLines) {
  const std::string path = written("\"one\"\n\n{\"prompt\": \"two \\u03a8\", \"id\": 7}\r\n   \n");

  EXPECT_THAT(read_prompts(path),
              ElementsAre(FieldsAre("one", path + ":1", 0), FieldsAre("two \u03a8", path + ":3", 0)));
}

TEST_F(Prompts, SkipsAByteOrderMark) {
  const std::string path = written("\xEF\xBB\xBF\"one\"\n");

  EXPECT_THAT(read_prompts(path), ElementsAre(FieldsAre("one", path + ":1", 0)));
}

TEST_F(Prompts, NamesTheLineThatIsNoPrompt) {
  EXPECT_THAT(refusal("\"one\"\n{\"text\": \"x\"}\n"), AllOf(HasSubstr(".jsonl:2: expected"), HasSubstr("\"text\"")));
  EXPECT_THAT(refusal("{\"prompt\": 7}\n"), HasSubstr(".jsonl:1: expected"));
  EXPECT_THAT(refusal("{\"prompt\": \"x\"\n"), HasSubstr(".jsonl:1: expected"));
}

TEST_F(Prompts, RefusesAFileWithoutPrompts) {
  EXPECT_THAT(refusal("\n\n"), HasSubstr("holds no prompt"));
  EXPECT_THROW(read_prompts("/nonexistent/prompts.jsonl"), DataError);
  EXPECT_THAT([&] { read_prompts(scratch_.path()); }, testing::ThrowsMessage<DataError>(HasSubstr("is a folder")));
}

TEST_F(Prompts, RefusesForSeveralRanksWhatOnlyOneCanRead) {
  EXPECT_THAT([] { read_prompts("/dev/null", PromptReaders::every_rank); },
              testing::ThrowsMessage<DataError>(HasSubstr("expected a regular file")));
  EXPECT_EQ(read_prompts(written("\"one\"\n"), PromptReaders::every_rank).size(), 1u);
}

}  // namespace
}  // namespace ferula
