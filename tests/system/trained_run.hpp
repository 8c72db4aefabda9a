// A trained run that all tests of a suite look at.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "program.hpp"

namespace ferula::system_tests {

/// Trains `runs/tiny` for 10 steps once for a suite, with checkpoints after steps 5 and 10 of two shards each.
class TrainedRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    workplace_ = std::make_unique<Workplace>();
    write_tiny_run(*workplace_, 10);
    ASSERT_EQ(workplace_->ferula({"train", "tiny.toml", "--ranks", "2", "--set", "zero_optimization.stage=3"}).code, 0);
  }
  static void TearDownTestSuite() { workplace_.reset(); }
  static Outcome ferula(std::vector<std::string> words, const std::vector<std::string>& more = {}) {
    words.insert(words.end(), more.begin(), more.end());
    return workplace_->ferula(words);
  }
  /// A copy of the run, to be damaged.
  static std::filesystem::path copy_run(const std::string& name) {
    std::filesystem::copy(workplace_->path() / "runs/tiny", workplace_->path() / "runs" / name,
                          std::filesystem::copy_options::recursive);
    return workplace_->path() / "runs" / name;
  }
  static inline std::unique_ptr<Workplace> workplace_;
};

}  // namespace ferula::system_tests
