// What commands print for programs: valid JSON whatever a user typed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

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

}  // namespace
}  // namespace ferula::system_tests
