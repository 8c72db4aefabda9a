// `ferula config` as a user meets it: on a terminal, with files of answers, and with what goes wrong there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "terminal_run.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string page() {
  std::ostringstream text;
  text << std::ifstream(FERULA_SOURCE_DIR "/docs/wizard.md").rdbuf();
  return text.str();
}

/// What stands between two lines of the page.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin) + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

/// A cluster whose sinfo knows Prometheus' partitions.
Screen screen_of_cluster(const Workplace& workplace) {
  workplace.write("bin/sinfo",
                  "#!/bin/sh\n"
                  "echo 'defq*|8|gpu:a5000:8|1-00:00:00'\n"
                  "echo 'a6000|1|gpu:4|7-00:00:00'\n");
  std::filesystem::permissions(workplace.path() / "bin/sinfo", std::filesystem::perms::owner_all);
  return {.path_before = (workplace.path() / "bin").string()};
}

/// Lines about the GPUs of the machine that the test runs on.
std::string without_gpus_of_this_machine(const std::string& shown) {
  std::istringstream lines(shown);
  std::string kept;
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("found GPUs")) kept += line + "\n";
  return kept;
}

TEST(WizardSystem, GoesOnWhereSinfoDoesNotAnswer) {
  const Workplace workplace;
  workplace.write("text.txt", "Once upon a time.\n");
  workplace.write("bin/sinfo", "#!/bin/sh\necho 'never|1|(null)|infinite'\nexec sleep 600\n");
  std::filesystem::permissions(workplace.path() / "bin/sinfo", std::filesystem::perms::owner_all);

  const Outcome outcome =
      workplace.run({"sh", "-c", std::string("PATH=$PWD/bin:$PATH exec ") + FERULA_PROGRAM + " config --yes --print"});

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out + outcome.err, testing::Not(testing::HasSubstr("never")));
}

TEST(WizardSystem, TellsOfAProfileThatItCannotUseAlsoWithoutAConversation) {
  const Workplace workplace;

  const Outcome outcome =
      workplace.run({"env", "FERULA_SLURM__PROFILE=nosuch", FERULA_PROGRAM, "config", "--yes", "--print"});

  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, testing::HasSubstr("not used: "));
  EXPECT_THAT(outcome.err, testing::HasSubstr("'nosuch'"));
  EXPECT_THAT(outcome.out, testing::StartsWith("[run]\n"));
}

TEST(WizardSystem, TalksAsItsPageShows) {
  const Workplace workplace;
  workplace.write("data/book.txt", "Once upon a time.\n");

  const Outcome outcome = ferula_on_terminal(
      workplace, {"config"},
      {"\n", "\n", "\n", "4\n", "gpt2-124m\n", "\n", "?\n", "1\n", "<\n", "\n", "\n", "2000\n", "\n", "\n"},
      screen_of_cluster(workplace));

  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(without_gpus_of_this_machine(outcome.out), between(page(), "$ ferula config\n", "```"));
  EXPECT_EQ(workplace.ferula({"config", "check", "train.toml", "--ranks", "4"}).code, 0);
}

/// Enters the usual answers, writes, and says this to the offer to submit.
Outcome submits_with(const Workplace& workplace, const std::vector<std::string>& said) {
  workplace.write("data/book.txt", "Once upon a time.\n");
  std::vector<std::string> keys(10, "\n");
  keys.insert(keys.end(), said.begin(), said.end());
  const Screen screen = screen_of_cluster(workplace);
  workplace.write("bin/sbatch", "#!/bin/sh\necho 'sbatch: error: no such day' >&2\nexit 1\n");
  std::filesystem::permissions(workplace.path() / "bin/sbatch", std::filesystem::perms::owner_all);
  return ferula_on_terminal(workplace, {"config"}, keys, screen);
}

TEST(WizardSystem, SubmitsOnlyWhenItIsTold) {
  const Workplace silent, shown, told;

  const Outcome no = submits_with(silent, {"perhaps\n", "\n"});
  const Outcome dry = submits_with(shown, {"dry\n"});
  const Outcome yes = submits_with(told, {"yes\n"});

  EXPECT_EQ(no.code, 0) << no.out;
  EXPECT_THAT(no.out, AllOf(HasSubstr("Please enter yes, no or dry."), Not(HasSubstr("#SBATCH"))));
  EXPECT_EQ(dry.code, 0) << dry.out;
  EXPECT_THAT(dry.out, AllOf(HasSubstr("#SBATCH --partition=defq"), HasSubstr("#SBATCH --gres=gpu:8")));
  EXPECT_EQ(yes.code, 1) << yes.out;
  EXPECT_THAT(yes.out, HasSubstr("Nothing was submitted"));
  EXPECT_TRUE(told.has("train.toml"));
}

TEST(WizardSystem, EndsAfterWritingWithoutAnAnswer) {
  const Workplace interrupted, ended;

  EXPECT_EQ(submits_with(interrupted, {"\x03"}).code, 130);
  EXPECT_EQ(submits_with(ended, {"\x04"}).code, 0);

  EXPECT_TRUE(interrupted.has("train.toml"));
  EXPECT_FALSE(interrupted.has("train.answers.toml"));
}

TEST(WizardSystem, WritesAJobThatSubmitAccepts) {
  const Workplace workplace;
  workplace.write("sheet.toml",
                  "compute_environment = \"prometheus:a6000\"\nqos = \"long-a6000\"\nnum_gpus = 4\n"
                  "job_time = \"2-00:00:00\"\nrequeue = false\n");
  const std::string path = (workplace.path() / "bin").string();
  workplace.write("bin/nothing", "");
  const auto without_slurm = [&](const std::string& words) {
    return workplace.run(
        {"sh", "-c",
         "ln -sf \"$(command -v timeout)\" bin/timeout; PATH=" + path + " exec " + FERULA_PROGRAM + " " + words});
  };

  const Outcome written = without_slurm("config --answers sheet.toml --yes");
  const Outcome script = without_slurm("submit train.toml --dry-run");

  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr("submit it      ferula submit train.toml   (on the cluster)"));
  EXPECT_EQ(script.code, 0) << script.err;
  EXPECT_THAT(script.out, AllOf(HasSubstr("--qos=long-a6000"), HasSubstr("--gres=gpu:4"),
                                HasSubstr("--time=2-00:00:00"), Not(HasSubstr("--requeue"))));
}

TEST(WizardSystem, ThePageListsTheQuestions) {
  const Workplace workplace;

  EXPECT_EQ(between(page(), "<!-- questions -->\n", "<!-- end of questions -->"),
            workplace.ferula({"config", "questions", "--markdown"}).out);
}

/// A sheet of answers, the ranks to check its file for, and what the file then says.
struct Sheet {
  std::string answers;
  std::string ranks;
  std::string says;
};

class WizardSheet : public testing::TestWithParam<Sheet> {};

TEST_P(WizardSheet, GivesAFileThatPassesTheCheck) {
  const Workplace workplace;
  const Sheet& sheet = GetParam();
  workplace.write("sheet.toml", sheet.answers);

  const Outcome written = workplace.ferula({"config", "--answers", "sheet.toml", "--yes", "--out", "my.toml"});

  ASSERT_EQ(written.code, 0) << written.err;
  EXPECT_THAT(workplace.read("my.toml"), HasSubstr(sheet.says));
  const Outcome checked = workplace.ferula({"config", "check", "my.toml", "--ranks", sheet.ranks});
  EXPECT_EQ(checked.code, 0) << checked.err;
}

INSTANTIATE_TEST_SUITE_P(
    WizardSystem, WizardSheet,
    testing::Values(
        Sheet{"# all as usual\n", "1", "name = \"my\""},
        Sheet{"machine_type = \"no\"\nmodel = \"llama-small\"\nsteps = 1\n", "1", "family = \"llama\""},
        Sheet{"machine_type = \"multi-CPU\"\nnum_processes = 3\nzero_stage = 1\n", "3", "device = \"cpu\""},
        Sheet{"compute_environment = \"ssh\"\nnum_gpus = 12\nnum_machines = 3\nhybrid_sharding = true\n", "12",
              "shard_size = 4"},
        Sheet{"machine_type = \"multi-GPU\"\nnum_gpus = 7\ncard = \"h100\"\nmicro_batch = 5\n"
              "gradient_accumulation_steps = 3\nreduce_once = true\n",
              "7", "reduce_once = true"},
        Sheet{"model = \"custom\"\nfamily = \"llama\"\nlayers = 1\nwidth = 6\nheads = 1\ncontext = 1\n", "1",
              "width = 6"},
        Sheet{"optimizer = \"SGD\"\nscheduler = \"WarmupLR\"\nwarmup_steps = 4\nsteps = 4\nuse_clipping = false\n", "1",
              "gradient_clipping = 0"},
        Sheet{"text = [\"ένα/**/*.txt\", \"b c.txt\"]\nrun_name = \"δοκιμή\"\noutput_dir = \"out\"\n", "1",
              "name = \"δοκιμή\""}));

TEST(WizardSystem, RefusesToTalkToNobody) {
  const Workplace workplace;

  const Outcome outcome = workplace.run({"sh", "-c", std::string(FERULA_PROGRAM) + " config </dev/null"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("expected a terminal"), HasSubstr("--answers"), HasSubstr("--yes")));
}

TEST(WizardSystem, RefusesBadSheetsBeforeItWritesAnything) {
  const Workplace workplace;
  const auto told = [&](const std::string& sheet, const std::vector<std::string>& more = {"--yes"}) {
    workplace.write("sheet.toml", sheet);
    std::vector<std::string> words{"config", "--answers", "sheet.toml"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = workplace.run({"sh", "-c", "exec \"$0\" \"$@\" </dev/null", FERULA_PROGRAM, words[0],
                                           words[1], words[2], more.empty() ? "--print" : more.front()});
    EXPECT_EQ(outcome.code, 2) << sheet;
    return outcome.err;
  };

  EXPECT_THAT(told("zero_stge = 2\n"), HasSubstr("did you mean 'zero_stage'?"));
  EXPECT_THAT(told("steps = \n"), HasSubstr("sheet.toml:1"));
  EXPECT_THAT(told("steps = \"\xff\"\n"), HasSubstr("UTF-8"));
  EXPECT_THAT(told("steps = 0\nmodel = \"gpt5\"\n"), AllOf(HasSubstr("steps = 0: "), HasSubstr("model = gpt5: ")));
  EXPECT_THAT(told("layers = 99999999999\nmodel = \"custom\"\n"), HasSubstr("layers"));
  EXPECT_THAT(told("steps = 4\n", {}), HasSubstr("expected an answer to 'compute_environment'"));
  EXPECT_FALSE(workplace.has("train.toml"));
}

TEST(WizardSystem, OverwritesOnlyWhenItIsTold) {
  const Workplace workplace;
  workplace.write("train.toml", "[run]\nname = \"mine\"\n");

  const Outcome refused = workplace.ferula({"config", "--yes"});
  const Outcome printed = workplace.ferula({"config", "--yes", "--print"});
  const std::string untouched = workplace.read("train.toml");
  const Outcome written = workplace.ferula({"config", "--yes", "--overwrite"});

  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("Configuration already exists at train.toml, will not override."));
  EXPECT_EQ(printed.code, 0);
  EXPECT_THAT(printed.out, AllOf(HasSubstr("[training]"), Not(HasSubstr("memory per"))));
  EXPECT_EQ(untouched, "[run]\nname = \"mine\"\n");
  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_EQ(workplace.read("train.toml.bak"), untouched);
}

TEST(WizardSystem, RefusesAPlaceThatCannotBeWrittenBeforeItAsks) {
  const Workplace workplace;
  workplace.write("folder/file", "");

  EXPECT_THAT(workplace.ferula({"config", "--yes", "--out", "missing/a.toml"}).err, HasSubstr("mkdir"));
  EXPECT_THAT(workplace.ferula({"config", "--yes", "--out", "folder"}).err, HasSubstr("is a folder"));
  EXPECT_THAT(workplace.ferula({"config", "--yes", "--out", "a\nb.toml"}).err, HasSubstr("control characters"));
}

TEST(WizardSystem, KeepsTheAnswersWhenItIsInterrupted) {
  const Workplace workplace;

  const Outcome stopped = ferula_on_terminal(workplace, {"config"}, {"\n", "multi-CPU\n", "\x03"});
  const std::string kept = workplace.read("train.answers.toml");
  const Outcome ended = ferula_on_terminal(workplace, {"config"}, {"3\n", "\x04"});
  const Outcome gone = ferula_on_terminal(workplace, {"config"}, {"\n"});
  const Outcome quit = ferula_on_terminal(workplace, {"config"}, {"<\n", "q\n"});

  EXPECT_EQ(stopped.code, 130) << stopped.out;
  EXPECT_THAT(kept, HasSubstr("machine_type = \"multi-CPU\""));
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("going on with the answers in train.answers.toml"),
                               HasSubstr("[3] How many processes"), HasSubstr("input ended at question 4")));
  EXPECT_THAT(gone.code, testing::AnyOf(2, 75)) << gone.out;
  EXPECT_EQ(quit.code, 75);
  EXPECT_THAT(workplace.read("train.answers.toml"), HasSubstr("num_processes = 3"));
  EXPECT_FALSE(workplace.has("train.toml"));
}

TEST(WizardSystem, TakesHostileAnswersOnATinyTerminal) {
  const Workplace workplace;

  const Outcome outcome =
      ferula_on_terminal(workplace, {"config", "--out", "μικρό.toml"},
                         {"\xff\xfe\n", "\x1b[A\n", std::string(3000, 'x') + "\n", "this machine\n", "multi-CPU\n",
                          "-1\n", "3.5\n", "999999999999999999999\n", "2\n", "small\n", "; rm -rf / #.txt\n", "4\n",
                          "1\n", "no\n", "$(reboot)\n", "12\n", "yes\n"},
                         {.columns = 1, .rows = 1});

  EXPECT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("UTF-8"), HasSubstr("integer")));
  EXPECT_THAT(workplace.read("μικρό.toml"), AllOf(HasSubstr("; rm -rf / #.txt"), HasSubstr("steps = 12")));
  EXPECT_EQ(workplace.ferula({"config", "check", "μικρό.toml", "--ranks", "2"}).code, 0);
}

}  // namespace
}  // namespace ferula::system_tests
