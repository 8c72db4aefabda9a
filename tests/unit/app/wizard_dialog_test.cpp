// The wizard's conversation, on a terminal that is a list of lines.
#include "app/wizard/wizard_dialog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>

#include "app/wizard/wizard_answers.hpp"
#include "app/wizard/wizard_save.hpp"
#include "config/toml_guard.hpp"
#include "support/scratch_directory.hpp"
#include "wizard_fixture.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ScriptedTerminal final : public WizardTerminal {
 public:
  ScriptedTerminal(std::vector<std::string> lines, TypedLine::Kind end, int width)
      : lines_(lines.begin(), lines.end()), end_(end), width_(width) {}
  void show(std::string_view text) override { shown += text; }
  TypedLine read_line() override {
    if (lines_.empty()) return {end_};
    TypedLine line{TypedLine::Kind::text, lines_.front()};
    lines_.pop_front();
    return line;
  }
  int width() const override { return width_; }

  std::string shown;

 private:
  std::deque<std::string> lines_;
  TypedLine::Kind end_;
  int width_;
};

class WizardDialogTest : public testing::Test {
 protected:
  ExitCode talk(const std::vector<std::string>& lines, TypedLine::Kind end = TypedLine::Kind::end, int width = 80) {
    WizardFacts facts = machine_facts(1);
    facts.path = path_;
    Wizard wizard(facts);
    ScriptedTerminal terminal(lines, end, width);
    WizardDialog dialog(wizard, terminal, *files_, path_, WizardOutput::ask_before_replacing);
    const auto keep = [&] { shown_ = terminal.shown; };
    try {
      const ExitCode code = dialog.run();
      keep();
      return code;
    } catch (const ConfigError& error) {
      keep();
      shown_ += error.what();
      return error.code();
    }
  }
  std::string content(const std::string& path) { return read_file(*files_, path, kMostConfigBytes); }

  ScratchDirectory folder_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  std::string path_ = folder_.path("new.toml");
  std::string kept_ = folder_.path("new.answers.toml");
  std::string shown_;
  const std::vector<std::string> usual_ = std::vector<std::string>(9, "");  // 7 questions, the review, too many
};

TEST_F(WizardDialogTest, WritesAfterTheReview) {
  EXPECT_EQ(talk(usual_), ExitCode::done) << shown_;

  EXPECT_THAT(shown_, AllOf(HasSubstr("found GPUs: NVIDIA RTX A5000"), HasSubstr("memory per GPU: "),
                            HasSubstr("of 23.0 GiB (NVIDIA RTX A5000)"), HasSubstr("Your answers:"),
                            HasSubstr("training.steps = 500 (was \"auto\")"), HasSubstr("configuration saved at")));
  EXPECT_THAT(content(path_), HasSubstr("steps = 500"));
  EXPECT_FALSE(files_->exists(kept_));
}

TEST_F(WizardDialogTest, ExplainsAndGoesBack) {
  talk({"?", "<", "", "", "<", "no"});

  EXPECT_THAT(shown_, AllOf(HasSubstr("Where the job will run."), HasSubstr("This is the first question.")));
  EXPECT_THAT(content(kept_), AllOf(HasSubstr("machine_type = \"no\""), HasSubstr("compute_environment")));
}

TEST_F(WizardDialogTest, KeepsTheAnswersHoweverItEnds) {
  EXPECT_EQ(talk({"", "", "q"}), ExitCode::resume_me);
  EXPECT_THAT(content(kept_), HasSubstr("machine_type = \"no\""));
  EXPECT_EQ(talk({""}, TypedLine::Kind::interrupted), ExitCode::interrupted);
  EXPECT_EQ(talk({""}, TypedLine::Kind::stopped), ExitCode::resume_me);

  EXPECT_EQ(talk({"", "", ""}), ExitCode::usage);

  EXPECT_THAT(shown_, AllOf(HasSubstr("input ended at question 4; the answers so far are kept in"), HasSubstr(kept_)));
  EXPECT_EQ(answers_in(content(kept_), kept_).size(), 3u);
  EXPECT_FALSE(files_->exists(path_));
}

TEST_F(WizardDialogTest, KeepsAwayFromAFileOfAnothersAnswers) {
  folder_.write("new.answers.toml", "mine = 1\n");

  EXPECT_EQ(talk({"", "q"}), ExitCode::resume_me);

  EXPECT_EQ(content(kept_), "mine = 1\n");
  EXPECT_TRUE(is_kept_by_wizard(content(kept_ + ".2")));
}

TEST_F(WizardDialogTest, ReplacesOnlyWhenItIsToldTo) {
  folder_.write("new.toml", "old");
  std::vector<std::string> lines(usual_.begin(), usual_.begin() + 8);
  const std::string other = folder_.path("other.toml");
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> all = lines;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };

  EXPECT_EQ(talk(with({"", other})), ExitCode::done) << shown_;
  EXPECT_EQ(content(path_), "old");
  EXPECT_THAT(content(other), HasSubstr("[training]"));

  EXPECT_EQ(talk(with({"perhaps", "yes"})), ExitCode::done) << shown_;
  EXPECT_THAT(shown_, HasSubstr("Configuration already exists at"));
  EXPECT_THAT(content(path_), HasSubstr("[training]"));
  EXPECT_EQ(content(path_ + ".bak"), "old");

  EXPECT_EQ(talk(with({"yes"})), ExitCode::done) << shown_;
  EXPECT_EQ(content(path_ + ".bak"), "old") << "an older file is not lost either";
  EXPECT_TRUE(files_->exists(path_ + ".bak.2"));
}

TEST_F(WizardDialogTest, ReviewsAgainAfterAChange) {
  std::vector<std::string> lines(usual_.begin(), usual_.begin() + 7);
  lines.insert(lines.end(), {"nonsense", "99", "7", "31", "all"});

  talk(lines);

  EXPECT_THAT(shown_,
              AllOf(HasSubstr("Please enter yes, no, all, < or a number from 1 to 7."),
                    HasSubstr("training.steps = 31"), HasSubstr("How many samples should each GPU compute at once?")));
}

TEST_F(WizardDialogTest, AsksForAnotherPlaceWhereItCannotWrite) {
  path_ = folder_.path("missing/new.toml");
  std::vector<std::string> lines(usual_.begin(), usual_.begin() + 8);
  lines.push_back(folder_.path("here.toml"));

  EXPECT_EQ(talk(lines), ExitCode::done) << shown_;

  EXPECT_THAT(shown_, HasSubstr("Where should it go instead?"));
  EXPECT_TRUE(files_->exists(folder_.path("here.toml")));
}

TEST_F(WizardDialogTest, FitsATinyTerminal) {
  EXPECT_EQ(talk({"?", "", "", "", "", "ένα/δύο/τρία/τέσσερα.txt", "", "", "", ""}, TypedLine::Kind::end, 20),
            ExitCode::done)
      << shown_;

  EXPECT_THAT(shown_, HasSubstr("In which compute\n    environment are\n    you running?"));
  EXPECT_THAT(content(path_), HasSubstr("ένα/δύο/τρία/τέσσερα.txt"));
}

}  // namespace
}  // namespace ferula
