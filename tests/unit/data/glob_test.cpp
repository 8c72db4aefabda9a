// Which files a pattern finds, in which order.
#include "data/glob.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Glob : public testing::Test {
 protected:
  Glob() {
    for (const char* name : {"b.md", "a.md", "c.txt", ".hidden.md", "sub/a.md", "sub/deep/z.md", "sub/deep/y.cpp",
                             ".git/config.md", "sub10/a.md", "sub2/a.md"}) {
      folder_.write(name, "text");
    }
  }
  std::vector<std::string> expand(std::string_view pattern) const {
    return relative(expand_glob(folder_.path(pattern)));
  }
  std::vector<std::string> relative(std::vector<std::string> paths) const {
    for (auto& path : paths) path = path.substr(folder_.path("").size());
    return paths;
  }
  ScratchDirectory folder_;
};

TEST_F(Glob, StarStaysWithinAFolderAndSortsByBytes) { EXPECT_THAT(expand("*.md"), ElementsAre("a.md", "b.md")); }

TEST_F(Glob, TwoStarsMatchZeroOrMoreFolders) {
  EXPECT_THAT(expand("**/*.md"), ElementsAre("a.md", "b.md", "sub/a.md", "sub/deep/z.md", "sub10/a.md", "sub2/a.md"));
  EXPECT_THAT(expand("sub/**/*.md"), ElementsAre("sub/a.md", "sub/deep/z.md"));
  EXPECT_THAT(expand("**/deep/*"), ElementsAre("sub/deep/y.cpp", "sub/deep/z.md"));
}

TEST_F(Glob, RepeatedTwoStarsCountOnce) { EXPECT_EQ(expand("**/**/*.md"), expand("**/*.md")); }

TEST_F(Glob, TwoStarsAtTheEndAreEveryFileBelow) {
  EXPECT_THAT(expand("sub/**"), ElementsAre("sub/a.md", "sub/deep/y.cpp", "sub/deep/z.md"));
  EXPECT_EQ(relative(files_below(folder_.path("sub"))), expand("sub/**"));
}

TEST_F(Glob, QuestionMarkAndSetsMatchOneLetter) {
  EXPECT_THAT(expand("sub?/a.md"), ElementsAre("sub2/a.md"));
  EXPECT_THAT(expand("[ab].md"), ElementsAre("a.md", "b.md"));
}

TEST_F(Glob, HiddenNamesNeedAnExplicitDot) {
  EXPECT_THAT(expand(".*.md"), ElementsAre(".hidden.md"));
  EXPECT_THAT(expand(".git/*.md"), ElementsAre(".git/config.md"));
}

TEST_F(Glob, FoldersAreNotFiles) { EXPECT_THAT(expand("su?"), IsEmpty()); }

TEST_F(Glob, NothingFoundIsEmpty) {
  EXPECT_THAT(expand("*.rst"), IsEmpty());
  EXPECT_THAT(expand("missing/**/*.md"), IsEmpty());
}

TEST_F(Glob, TwoStarsDoNotFollowLinksInACircle) {
  std::filesystem::create_directory_symlink(folder_.path(""), folder_.path("sub/loop"));

  EXPECT_THAT(expand("sub/**/*.md"), ElementsAre("sub/a.md", "sub/deep/z.md"));
}

TEST_F(Glob, LeadingTwoStarsSearchTheWorkingFolder) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path("sub"));
  const auto found = expand_glob("**/*.md");
  std::filesystem::current_path(before);

  EXPECT_THAT(found, ElementsAre("a.md", "deep/z.md"));
}

}  // namespace
}  // namespace ferula
