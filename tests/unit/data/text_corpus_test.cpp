// Which text is taken, in which order, and what is said of text that cannot be used.
#include "data/text_corpus.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Corpus : public testing::Test {
 protected:
  TextCorpus survey(const std::vector<std::string>& names) {
    std::vector<std::string> patterns;
    for (const auto& name : names) patterns.push_back(folder_.path(name));
    return survey_text(*files_, patterns, *tokenizer_);
  }
  std::string refusal(const std::vector<std::string>& names) {
    try {
      survey(names);
    } catch (const DataError& error) {
      return error.what();
    }
    return "nothing was refused";
  }
  std::vector<std::string> paths(const TextCorpus& corpus) const {
    std::vector<std::string> names;
    for (const auto& source : corpus.sources) names.push_back(source.path.substr(folder_.path("").size()));
    return names;
  }

  ScratchDirectory folder_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  std::unique_ptr<Tokenizer> tokenizer_ = make_tokenizer("bytes");
};

TEST_F(Corpus, KeepsTheOrderOfEntriesAndSortsWithinOne) {
  for (const char* name : {"z.txt", "a/2.txt", "a/10.txt", "b.md", "c.md"}) folder_.write(name, name);

  const TextCorpus corpus = survey({"z.txt", "*.md", "a"});

  EXPECT_THAT(paths(corpus), ElementsAre("z.txt", "b.md", "c.md", "a/10.txt", "a/2.txt"));
  EXPECT_EQ(corpus.bytes(), 5 + 4 + 4 + 8 + 7);
  EXPECT_EQ(corpus.tokens(), corpus.bytes());
}

TEST_F(Corpus, CountsAFileOfSeveralEntriesOnce) {
  folder_.write("a.txt", "A");
  folder_.write("b.txt", "B");

  EXPECT_THAT(paths(survey({"b.txt", "*.txt", "./a.txt"})), ElementsAre("b.txt", "a.txt"));
}

TEST_F(Corpus, ReadsFilesLargerThanAPiece) {
  std::string text(static_cast<std::size_t>(kHashBlockBytes) + 17, 'x');
  folder_.write("long.txt", text);
  std::string collected;

  const TextSource source =
      read_in_pieces(*files_, folder_.path("long.txt"), [&](std::string_view piece) { collected += piece; });

  EXPECT_EQ(source.bytes, kHashBlockBytes + 17);
  EXPECT_EQ(collected, text);
}

TEST_F(Corpus, SkipsBinaryAndEmptyFilesOfAFolderAndSaysSo) {
  folder_.write("src/a.cpp", "int main() {}");
  folder_.write("src/logo.png", std::string("\x89PNG\0\0", 6));
  folder_.write("src/empty.cpp", "");

  const TextCorpus corpus = survey({"src"});

  EXPECT_THAT(paths(corpus), ElementsAre("src/a.cpp"));
  EXPECT_THAT(corpus.skipped,
              ElementsAre(HasSubstr("empty.cpp: empty"), HasSubstr("logo.png: not text: a zero byte at offset 4")));
}

TEST_F(Corpus, NamesEveryProblemAtOnce) {
  folder_.write("empty.txt", "");
  folder_.write("binary.txt", std::string("ab\0", 3));
  folder_.write("good.txt", "good");

  const std::string message = refusal({"missing.txt", "*.rst", "empty.txt", "binary.txt", "good.txt"});

  EXPECT_THAT(message, AllOf(HasSubstr("missing.txt: no such file"), HasSubstr("*.rst: no file matches; looked from"),
                             HasSubstr("empty.txt: empty"), HasSubstr("binary.txt: not text"),
                             testing::Not(HasSubstr("good.txt"))));
}

TEST_F(Corpus, RefusesBinaryFilesThatAGlobNames) {
  folder_.write("a.bin", std::string("\0", 1));

  EXPECT_THAT(refusal({"*.bin"}), HasSubstr("a.bin: not text: a zero byte at offset 0"));
}

TEST_F(Corpus, RefusesOnlyEmptyFiles) {
  folder_.write("a.txt", "");
  folder_.write("b.txt", "");

  EXPECT_THAT(refusal({"*.txt"}), AllOf(HasSubstr("a.txt: empty"), HasSubstr("no text at all")));
}

TEST_F(Corpus, RefusesAnEmptyFolderAndAnEmptyList) {
  std::filesystem::create_directory(folder_.path("nothing"));

  EXPECT_THAT(refusal({"nothing"}), HasSubstr("the folder holds no files"));
  EXPECT_THAT(refusal({}), HasSubstr("no file, folder or glob"));
}

TEST_F(Corpus, RefusesWhatIsNoRegularFile) {
  std::filesystem::create_symlink("/dev/null", folder_.path("null.txt"));

  EXPECT_THAT(refusal({"null.txt"}), HasSubstr("not a regular file"));
}

TEST_F(Corpus, ManyProblemsAreCounted) {
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back("missing" + std::to_string(i));

  EXPECT_THAT(refusal(names), AllOf(HasSubstr("missing0:"), HasSubstr("and 10 more")));
}

TEST_F(Corpus, TheKeyFollowsContentAndNames) {
  folder_.write("a.txt", "one");
  folder_.write("b.txt", "two");
  const Digest key = content_key(survey({"a.txt", "b.txt"}), *tokenizer_);

  EXPECT_EQ(key, content_key(survey({"a.txt", "b.txt"}), *tokenizer_));
  EXPECT_NE(key, content_key(survey({"b.txt", "a.txt"}), *tokenizer_));
  folder_.write("b.txt", "twO");
  EXPECT_NE(key, content_key(survey({"a.txt", "b.txt"}), *tokenizer_));
}

}  // namespace
}  // namespace ferula
