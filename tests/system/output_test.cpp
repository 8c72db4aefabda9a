// What commands print for programs: valid JSON whatever a user typed, all of it or an error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <algorithm>

#include "trained_run.hpp"

namespace ferula::system_tests {
namespace {

class OutputSystem : public TrainedRun {};

TEST_F(OutputSystem, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  const std::string odd =
                        "\xff"
                        "odd",
                    shown = "\ufffdodd";
  workplace_->write(odd, "Line 1 of a text\n");
  std::filesystem::rename(copy_run("copy"), workplace_->path() / "runs" / odd);

  const Outcome generated =
      ferula({"generate", "--checkpoint", "runs/tiny", "--prompt", odd, "--max-new-tokens", "2", "--json"});
  const Outcome evaluated = ferula({"evaluate", "--checkpoint", "runs/tiny", "--text", odd, "--json"});
  const Outcome verified = ferula({"checkpoint", "verify", "runs/" + odd, "--json"});

  ASSERT_EQ(generated.code + evaluated.code + verified.code, 0);
  EXPECT_EQ(boost::json::parse(generated.out).at("prompt").as_string(), shown);
  EXPECT_EQ(boost::json::parse(evaluated.out).at("text").as_string(), shown);
  EXPECT_THAT(boost::json::parse(verified.out).at("checkpoint").as_string().c_str(),
              testing::HasSubstr("runs/" + shown));
}

TEST_F(OutputSystem, AFullDiskIsAnErrorOfCommandsThatAnswer) {
  const std::string generate = "generate --checkpoint runs/tiny --prompt x --max-new-tokens 2";
  for (const std::string& words :
       {generate, generate + " --ranks 2", std::string("evaluate --checkpoint runs/tiny --text text.txt --json"),
        std::string("bench --only memory --megabytes 1 --repetitions 1 --json"), std::string("config show tiny.toml"),
        std::string("config keys --markdown"), std::string("checkpoint list runs/tiny"), std::string("--help")}) {
    const Outcome outcome = workplace_->run({"bash", "-c", "exec " FERULA_PROGRAM " " + words + " > /dev/full"});

    EXPECT_EQ(outcome.code, 3) << words;
    EXPECT_THAT(outcome.err, testing::HasSubstr("cannot write the output: No space left on device")) << words;
  }
}

TEST_F(OutputSystem, ASizeBeyondAllMeasureIsRefused) {
  for (const char* size : {"65537", "17592186044417", "99999999999999999999"}) {
    const Outcome outcome = ferula({"bench", "--only", "memory", "--megabytes", size});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, testing::HasSubstr("--megabytes expects a whole number of at least 1 and at most 65536"));
  }
}

TEST_F(OutputSystem, AReaderThatGoesAwayIsNoError) {
  for (const char* ranks : {"1", "2"}) {
    const Outcome outcome = workplace_->run(
        {"bash", "-c",
         std::string(FERULA_PROGRAM " generate --checkpoint runs/tiny --prompt x --max-new-tokens 2 --ranks ") + ranks +
             " | true"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(OutputSystem, PromptsThatOnlyOneRankCouldReadAreRefusedOnce) {
  const std::string pipe =
      "echo '\"x\"' | " FERULA_PROGRAM " generate --checkpoint runs/tiny --max-new-tokens 2 --prompts /dev/stdin ";

  const Outcome several = workplace_->run({"bash", "-c", pipe + "--ranks 2"});

  EXPECT_EQ(several.code, 1);
  EXPECT_THAT(several.err, testing::HasSubstr("expected a regular file of prompts"));
  EXPECT_EQ(std::count(several.err.begin(), several.err.end(), '\n'), 1) << several.err;
  EXPECT_EQ(workplace_->run({"bash", "-c", pipe}).code, 0);
}

TEST_F(OutputSystem, ATrainingRunGoesOnWithoutItsOutput) {
  EXPECT_EQ(workplace_->run({"bash", "-c", FERULA_PROGRAM " train tiny.toml --set run.name=mute > /dev/full"}).code, 0);
  for (const std::string ranks : {"1", "2"}) {
    const Outcome outcome = workplace_->run({"bash", "-c",
                                             "set -o pipefail; export TMPDIR=$PWD; " FERULA_PROGRAM
                                             " train tiny.toml --set training.steps=200 --set run.name=left-" +
                                                 ranks + " --ranks " + ranks + " | true"});

    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(workplace_->lines_of("runs/left-" + ranks + "/metrics.jsonl"), 200U);
  }
  for (const auto& each : std::filesystem::directory_iterator(workplace_->path()))
    EXPECT_FALSE(each.path().filename().string().starts_with("ferula-ranks-")) << each.path();
}

}  // namespace
}  // namespace ferula::system_tests
