// The batch triangle against DeepSpeed's cases and an independent enumeration.
#include "config/batch_triangle.hpp"

#include <gtest/gtest.h>

namespace ferula {
namespace {

using Given = std::optional<std::int64_t>;

TEST(BatchTriangle, AgreesWithDeepSpeedOnTwoRanks) {
  EXPECT_EQ(solve_batch({32, 16, 1}, 2).problem, "");
  EXPECT_EQ(solve_batch({32, 8, 2}, 2).problem, "");
  EXPECT_EQ(
      solve_batch({33, 17, 2}, 2).problem,
      "Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * "
      "world_size 33 != 17 * 2 * 2");
  EXPECT_EQ(
      solve_batch({32, 18, 1}, 2).problem,
      "Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * "
      "world_size 32 != 18 * 1 * 2");
}

TEST(BatchTriangle, NamesTheValueThatIsNotPositive) {
  EXPECT_EQ(solve_batch({2, 4, {}}, 2).problem, "Gradient accumulation steps: 0 has to be greater than 0");
  EXPECT_EQ(solve_batch({1, {}, {}}, 2).problem, "Micro batch size per gpu: 0 has to be greater than 0");
  EXPECT_EQ(solve_batch({{}, {}, 4}, 2).problem,
            "Either train_batch_size or train_micro_batch_size_per_gpu needs to be provided");
}

/// The legal triple that agrees with what was given, searched among all triples; where one size alone is given the
/// accumulation is 1. The definition, not the rules.
std::vector<BatchTriple> search(const BatchRequest& request, std::int64_t ranks, std::int64_t most) {
  const bool single = !request.accumulation && !(request.train && request.micro);
  std::vector<BatchTriple> found;
  for (std::int64_t micro = 1; micro <= most; ++micro) {
    for (std::int64_t accumulation = 1; accumulation <= most; ++accumulation) {
      const std::int64_t train = micro * accumulation * ranks;
      if (request.train && *request.train != train) continue;
      if (request.micro && *request.micro != micro) continue;
      if (request.accumulation && *request.accumulation != accumulation) continue;
      if (single && accumulation != 1) continue;
      found.push_back({train, micro, accumulation});
    }
  }
  return found;
}

TEST(BatchTriangle, EqualsASearchOverAllTriples) {
  constexpr std::int64_t kMost = 8;
  for (std::int64_t ranks = 1; ranks <= 4; ++ranks) {
    for (std::int64_t train = 0; train <= kMost; ++train) {
      for (std::int64_t micro = 0; micro <= kMost; ++micro) {
        for (std::int64_t accumulation = 0; accumulation <= kMost; ++accumulation) {
          const auto given = [](std::int64_t value) { return value == 0 ? Given() : Given(value); };
          const BatchRequest request{given(train), given(micro), given(accumulation)};
          if (!request.train && !request.micro) continue;

          const BatchOutcome outcome = solve_batch(request, ranks);
          const std::vector<BatchTriple> expected = search(request, ranks, kMost * kMost);

          ASSERT_LE(expected.size(), 1u);
          ASSERT_EQ(outcome.problem.empty(), expected.size() == 1)
              << train << ' ' << micro << ' ' << accumulation << ' ' << ranks;
          if (!expected.empty()) ASSERT_EQ(outcome.triple, expected[0]);
        }
      }
    }
  }
}

TEST(BatchTriangle, SuggestsOnlyLegalTriples) {
  for (std::int64_t ranks : {1, 2, 3, 7}) {
    for (std::int64_t train = 1; train <= 40; ++train) {
      for (std::int64_t micro = 1; micro <= 10; ++micro) {
        const auto nearest = nearest_batches({train, micro, 3}, ranks, 3);

        ASSERT_FALSE(nearest.empty());
        for (const BatchTriple& t : nearest) {
          ASSERT_EQ(solve_batch({t.train, t.micro, t.accumulation}, ranks).problem, "");
        }
      }
    }
  }
}

TEST(BatchTriangle, SuggestsTheSmallestChangeFirst) {
  EXPECT_EQ(nearest_batches({33, 8, 2}, 2, 1), (std::vector<BatchTriple>{{32, 8, 2}}));
  EXPECT_EQ(nearest_batches({32, 17, {}}, 2, 1), (std::vector<BatchTriple>{{34, 17, 1}}));
}

}  // namespace
}  // namespace ferula
