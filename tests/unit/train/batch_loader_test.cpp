// Every layout reads the same global batches; validation meets each sample once.
#include "train/batch_loader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "data/token_file_writer.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kLength = 8;
constexpr std::int64_t kBatch = 48;

/// A sample as the model sees it: its place in the stream, then tokens and targets.
struct Seen {
  std::int64_t place;
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;
  friend bool operator==(const Seen&, const Seen&) = default;
};

class Loader : public testing::Test {
 protected:
  void SetUp() override {
    std::string text;
    for (int i = 0; i < 700; ++i) text += std::to_string(i) + (i % 7 == 0 ? "\n" : " ");
    const std::vector<std::string> patterns{folder_.write("text", text)};
    const auto tokenizer = make_tokenizer("bytes");
    write_token_file(*files_, folder_.path("tokens.h5"), survey_text(*files_, patterns, *tokenizer), *tokenizer,
                     "test");
    file_.emplace(*files_, folder_.path("tokens.h5"));
    dataset_.emplace(*file_, kLength, 0.1);
  }
  BatchLoader loader(const BatchShape& shape, std::uint64_t seed = 1) {
    return {*dataset_, seed, shape, *device_, *stream_};
  }
  static void append(const TokenBatch& batch, std::vector<Seen>& seen) {
    const auto tokens = batch.token.span<std::int32_t>();
    const auto targets = batch.target.span<std::int32_t>();
    for (std::int64_t row = 0; row < batch.rows; row += kLength) {
      const auto place = batch.sample.span<std::int64_t>()[static_cast<std::size_t>(row)];
      seen.push_back({place,
                      {tokens.begin() + row, tokens.begin() + row + kLength},
                      {targets.begin() + row, targets.begin() + row + kLength}});
    }
  }
  /// The global batch of one step, put together from all ranks of a layout.
  std::vector<Seen> global_batch(int ranks, std::int64_t accumulation, const StepPlace& place) {
    std::vector<Seen> seen;
    const std::int64_t micro_batch = kBatch / (ranks * accumulation);
    for (std::int64_t micro = 0; micro < accumulation; ++micro) {
      for (int rank = 0; rank < ranks; ++rank) {
        append(loader({micro_batch, accumulation, rank, ranks}).training(place, micro), seen);
      }
    }
    return seen;
  }

  ScratchDirectory folder_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  std::optional<TokenFile> file_;
  std::optional<TokenDataset> dataset_;
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Stream> stream_ = device_->make_stream();
};

TEST_F(Loader, EveryLayoutReadsTheSameGlobalBatches) {
  for (std::int64_t step = 1; step <= 3; ++step) {
    const StepPlace place{step, (step - 1) * kBatch};
    const auto expected = global_batch(1, 1, place);
    ASSERT_EQ(expected.size(), static_cast<std::size_t>(kBatch));
    for (const int ranks : {1, 2, 3, 4}) {
      for (const std::int64_t accumulation : {1, 2, 4}) {
        EXPECT_EQ(global_batch(ranks, accumulation, place), expected) << ranks << " ranks, " << accumulation;
      }
    }
  }
}

TEST_F(Loader, AnEpochHoldsEachTrainingSampleOnce) {
  const std::int64_t samples = dataset_->samples(Split::training);
  BatchLoader one = loader({1, 1, 0, 1});
  std::vector<Seen> seen;
  std::multiset<std::vector<std::int32_t>> expected;
  std::vector<std::int32_t> tokens(kLength);
  std::vector<std::int32_t> targets(kLength);
  std::multiset<std::vector<std::int32_t>> found;

  for (std::int64_t i = 0; i < samples; ++i) {
    append(one.training({i + 1, i}, 0), seen);
    dataset_->read(Split::training, i, tokens, targets);
    expected.insert(tokens);
  }
  for (const auto& sample : seen) found.insert(sample.tokens);

  EXPECT_EQ(found, expected);
  EXPECT_EQ(one.epochs(samples), 1.0);
  EXPECT_EQ(one.epochs(samples / 2), static_cast<double>(samples / 2) / static_cast<double>(samples));
}

TEST_F(Loader, AResumeWithAnotherBatchSizeGoesOnInTheSameStream) {
  std::vector<Seen> whole;
  std::vector<Seen> resumed;
  BatchLoader twelve = loader({12, 1, 0, 1});
  BatchLoader eight = loader({8, 1, 0, 1});

  for (std::int64_t step = 0; step < 4; ++step) append(twelve.training({step + 1, step * 12}, 0), whole);
  append(twelve.training({1, 0}, 0), resumed);
  append(twelve.training({2, 12}, 0), resumed);
  for (std::int64_t step = 0; step < 3; ++step) append(eight.training({step + 3, 24 + step * 8}, 0), resumed);

  EXPECT_EQ(resumed, whole);
}

TEST_F(Loader, FillsPositionsStartsAndTheStep) {
  BatchLoader two = loader({2, 1, 0, 1});

  const TokenBatch& batch = two.training({41, 80}, 0);

  EXPECT_EQ(batch.rows, 2 * kLength);
  EXPECT_EQ(batch.targets, 2 * kLength);
  EXPECT_EQ(two.targets_per_step(), 2 * kLength);
  EXPECT_THAT(batch.starts.span<std::int32_t>(), testing::ElementsAre(0, 8, 16));
  EXPECT_THAT(batch.position.span<std::int32_t>(),
              testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(batch.step.span<std::int64_t>()[0], 41);
  EXPECT_EQ(batch.sample.span<std::int64_t>()[0], 80);
  EXPECT_EQ(batch.sample.span<std::int64_t>()[15], 81);
  EXPECT_TRUE(batch.kv_block.empty());
}

TEST_F(Loader, EvaluationMeetsEachSampleOnceAndKeepsRanksInStep) {
  const std::int64_t samples = dataset_->samples(Split::validation);
  for (const int ranks : {1, 2, 3, 4}) {
    for (const std::int64_t micro_batch : {1, 4, 5}) {
      std::vector<std::int64_t> places;
      std::int64_t targets = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        BatchLoader mine = loader({micro_batch, 1, rank, ranks});
        ASSERT_EQ(mine.evaluation_batches(Split::validation),
                  (samples + ranks * micro_batch - 1) / (ranks * micro_batch));
        for (std::int64_t i = 0; i < mine.evaluation_batches(Split::validation); ++i) {
          std::vector<Seen> seen;
          const TokenBatch& batch = mine.evaluation(Split::validation, i);
          append(batch, seen);
          targets += batch.targets;
          for (const auto& sample : seen) {
            if (sample.targets.front() >= 0) places.push_back(sample.place);
          }
        }
      }
      std::sort(places.begin(), places.end());
      std::vector<std::int64_t> expected;
      for (std::int64_t i = 0; i < samples; ++i) expected.push_back(i);
      EXPECT_EQ(places, expected) << ranks << " ranks, micro batch " << micro_batch;
      EXPECT_EQ(targets, dataset_->extent(Split::validation).count() - 1);
    }
  }
}

TEST_F(Loader, TrainingAfterEvaluationHasAllItsTargets) {
  BatchLoader five = loader({5, 1, 0, 1});
  std::vector<Seen> before;
  std::vector<Seen> after;

  append(five.training({1, 0}, 0), before);
  for (std::int64_t i = 0; i < five.evaluation_batches(Split::validation); ++i) five.evaluation(Split::validation, i);
  append(five.training({1, 0}, 0), after);

  EXPECT_EQ(before, after);
}

TEST_F(Loader, AllocatesNothingAfterConstruction) {
  BatchLoader three = loader({3, 2, 1, 2});
  const std::int64_t allocations = ledger_.allocations();
  const TokenBatch& first = three.training({1, 0}, 0);
  const std::byte* address = first.token.data;

  for (std::int64_t step = 1; step < 20; ++step) three.training({step, step * 12}, 1);
  three.evaluation(Split::validation, 0);

  EXPECT_EQ(ledger_.allocations(), allocations);
  EXPECT_EQ(three.training({1, 0}, 0).token.data, address);
}

TEST_F(Loader, SeedsGiveOrdersOfTheirOwn) {
  std::vector<Seen> first;
  std::vector<Seen> second;

  append(loader({8, 1, 0, 1}, 1).training({1, 0}, 0), first);
  append(loader({8, 1, 0, 1}, 2).training({1, 0}, 0), second);

  EXPECT_NE(first, second);
}

TEST_F(Loader, EvaluatesAFileWithoutTrainingSamples) {
  const TokenDataset everything(*file_, kLength, 1.0);
  BatchLoader mine(everything, 1, {4, 1, 0, 1}, *device_, *stream_);
  std::int64_t targets = 0;

  for (std::int64_t i = 0; i < mine.evaluation_batches(Split::validation); ++i) {
    targets += mine.evaluation(Split::validation, i).targets;
  }

  EXPECT_EQ(targets, file_->tokens() - 1);
  EXPECT_THROW(mine.training({1, 0}, 0), Error);
}

}  // namespace
}  // namespace ferula
