// Ranks write the same texts as one rank does, in step, whatever the prompts are.
#include "generate/generator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <random>

#include "base/philox.hpp"
#include "support/model_fixture.hpp"
#include "support/rank_parts.hpp"

namespace ferula {
namespace {

using test::on_ranks;
using test::RankParts;
using testing::HasSubstr;

constexpr std::int64_t kContext = 24;

/// Logits are a hash of all tokens read so far, so any mistake in what the model is shown changes the text.
class HashModel final : public DecodeModel {
 public:
  explicit HashModel(std::int64_t rows = 4) : rows_(rows) {}
  std::int64_t context() const override { return kContext; }
  std::int64_t rows() const override { return rows_; }
  std::int64_t vocabulary() const override { return 256; }
  std::span<const float> read(std::span<const std::int32_t> tokens, std::int64_t first) override {
    ++calls;
    if (tokens.empty()) return {};
    if (first == 0) read_.clear();
    EXPECT_EQ(first, std::ssize(read_)) << "a gap or an overlap";
    EXPECT_LE(std::ssize(tokens), rows_);
    read_.insert(read_.end(), tokens.begin(), tokens.end());
    EXPECT_LE(std::ssize(read_), kContext);
    std::uint64_t key = 0;
    for (const std::int32_t token : read_) key = random_key(key, std::to_string(token));
    for (std::size_t i = 0; i < logits_.size(); ++i) logits_[i] = static_cast<float>(normal(key, i));
    return logits_;
  }

  std::int64_t calls = 0;

 private:
  std::int64_t rows_;
  std::vector<std::int32_t> read_;
  std::vector<float> logits_ = std::vector<float>(256);
};

struct Outcome {
  std::vector<std::string> texts;
  std::vector<std::int64_t> calls;  // of the model, by rank
};

Outcome write_on(int ranks, const std::vector<GenerationRequest>& requests, const SamplingOptions& options = {}) {
  Outcome outcome{.texts = {}, .calls = std::vector<std::int64_t>(static_cast<std::size_t>(ranks))};
  std::mutex mutex;
  on_ranks({.replica = ranks}, [&](RankParts& rank) {
    HashModel model;
    const auto tokenizer = make_tokenizer("bytes");
    Generator generator(model, *tokenizer, {rank.mesh.data(), *rank.communication}, options);
    std::vector<std::string> texts;
    for (const auto& result : generator.run(requests)) {
      texts.push_back(result.text);
      EXPECT_TRUE(tokenizer->decode(result.tokens).starts_with(result.text));
    }
    const std::lock_guard lock(mutex);
    if (outcome.texts.empty()) outcome.texts = texts;
    EXPECT_EQ(texts, outcome.texts) << "rank " << rank.mesh.rank();
    outcome.calls[static_cast<std::size_t>(rank.mesh.rank())] = model.calls;
  });
  return outcome;
}

GenerationRequest request(std::size_t prompt_length, std::int64_t max_new_tokens) {
  GenerationRequest result{.prompt = {}, .max_new_tokens = max_new_tokens, .stop = {}};
  for (std::size_t i = 0; i < prompt_length; ++i) result.prompt.push_back(static_cast<std::int32_t>(i * 7 % 256));
  return result;
}

/// One request on one rank.
GenerationResult write_alone(const GenerationRequest& request, const SamplingOptions& options = {},
                             const TextListener& listener = {}) {
  std::vector<GenerationResult> results;
  on_ranks({}, [&](RankParts& rank) {
    HashModel model;
    const auto tokenizer = make_tokenizer("bytes");
    Generator generator(model, *tokenizer, {rank.mesh.data(), *rank.communication}, options);
    results = generator.run(std::vector<GenerationRequest>{request}, listener);
  });
  return results.at(0);
}

TEST(Generator, AnyNumberOfRanksWritesTheSameTextsInStep) {
  std::mt19937 random(5);
  for (int round = 0; round < 12; ++round) {
    std::vector<GenerationRequest> requests;
    const int count = static_cast<int>(random() % 8);
    for (int i = 0; i < count; ++i) {
      requests.push_back(request(1 + random() % kContext, 1 + static_cast<std::int64_t>(random() % 30)));
      if (random() % 2 == 0) requests.back().stop = {std::string(1, static_cast<char>(random() % 256))};
    }
    const Outcome expected = write_on(1, requests);
    ASSERT_EQ(expected.texts.size(), requests.size());

    for (const int ranks : {2, 3, 4}) {
      const Outcome outcome = write_on(ranks, requests);
      EXPECT_EQ(outcome.texts, expected.texts) << ranks << " ranks, round " << round;
      for (const std::int64_t calls : outcome.calls) EXPECT_EQ(calls, outcome.calls.front());
    }
  }
}

TEST(Generator, ATextDoesNotDependOnHowAPromptIsCut) {
  std::vector<std::string> texts;
  for (const std::int64_t rows : {1, 3, 24}) {
    on_ranks({}, [&](RankParts& rank) {
      HashModel model(rows);
      const auto tokenizer = make_tokenizer("bytes");
      Generator generator(model, *tokenizer, {rank.mesh.data(), *rank.communication}, {});
      texts.push_back(generator.run(std::vector{request(10, 8)}).at(0).text);
    });
  }
  EXPECT_EQ(texts[1], texts[0]);
  EXPECT_EQ(texts[2], texts[0]);
}

TEST(Generator, ATextDependsOnTheNumberOfItsRequestAndTheSeed) {
  const auto texts = write_on(1, {request(5, 16), request(5, 16)}).texts;

  EXPECT_NE(texts[0], texts[1]);
  EXPECT_NE(texts[0], write_alone(request(5, 16), {.seed = 99}).text);
  EXPECT_EQ(texts[0], write_alone(request(5, 16)).text);
}

TEST(Generator, GreedyTextsOfEqualPromptsAreEqual) {
  const auto texts = write_on(2, {request(5, 16), request(5, 16)}, {.choice = Choice::greedy}).texts;

  EXPECT_EQ(texts[0], texts[1]);
}

TEST(Generator, StopsAfterMaxNewTokens) {
  const GenerationResult result = write_alone(request(3, 7));

  EXPECT_EQ(result.finish, FinishReason::length);
  EXPECT_EQ(result.tokens.size(), 7u);
  EXPECT_EQ(name_of(result.finish), "length");
}

TEST(Generator, StopsWhereTheContextIsFull) {
  const GenerationResult result = write_alone(request(20, 100));

  EXPECT_EQ(result.finish, FinishReason::context_full);
  EXPECT_EQ(result.tokens.size(), static_cast<std::size_t>(kContext) - 20 + 1);
  EXPECT_EQ(write_alone(request(kContext, 100)).tokens.size(), 1u);
}

TEST(Generator, StopsBeforeTheFirstStopText) {
  const std::string whole = write_alone(request(3, 12)).text;
  GenerationRequest stopped = request(3, 12);
  stopped.stop = {"never", whole.substr(4, 3), whole.substr(6, 2)};

  const GenerationResult result = write_alone(stopped);

  EXPECT_EQ(result.finish, FinishReason::stop);
  EXPECT_EQ(result.text, whole.substr(0, 4));
  EXPECT_EQ(result.tokens.size(), 7u);
}

TEST(Generator, StopTextsWithinTheFirstTokensAreKept) {
  const std::string whole = write_alone(request(3, 12)).text;
  GenerationRequest stopped = request(3, 12);
  stopped.stop = {whole.substr(2, 3), whole.substr(6, 2)};

  stopped.min_new_tokens = 3;  // the first stop text begins within them
  EXPECT_EQ(write_alone(stopped).text, whole.substr(0, 6));
  stopped.min_new_tokens = 6;
  EXPECT_EQ(write_alone(stopped).text, whole.substr(0, 6));
  stopped.min_new_tokens = 7;
  EXPECT_EQ(write_alone(stopped).text, whole);
}

TEST(Generator, TellsOnlyWhatNoStopTextCanTakeBack) {
  const std::string whole = write_alone(request(3, 12)).text;
  GenerationRequest stopped = request(3, 12);
  stopped.stop = {whole.substr(2, 2) + "no", whole.substr(5, 4)};
  std::vector<std::string> heard;

  const GenerationResult result =
      write_alone(stopped, {}, [&](std::size_t, std::string_view bytes) { heard.emplace_back(bytes); });

  EXPECT_EQ(result.text, whole.substr(0, 5));
  EXPECT_THAT(heard, testing::ElementsAre(whole.substr(0, 1), whole.substr(1, 1), whole.substr(2, 3)));
}

TEST(Generator, EachRankTellsItsOwnTexts) {
  std::map<std::size_t, std::string> heard;
  std::mutex mutex;
  std::vector<GenerationResult> results;
  on_ranks({.replica = 2}, [&](RankParts& rank) {
    HashModel model;
    const auto tokenizer = make_tokenizer("bytes");
    Generator generator(model, *tokenizer, {rank.mesh.data(), *rank.communication}, {});
    const auto listen = [&](std::size_t number, std::string_view bytes) {
      const std::lock_guard lock(mutex);
      EXPECT_EQ(static_cast<std::int64_t>(number % 2), rank.mesh.rank());
      heard[number] += bytes;
    };
    const auto found = generator.run(std::vector{request(3, 5), request(4, 9), request(2, 7)}, listen);
    if (rank.mesh.rank() == 0) results = found;
  });
  for (std::size_t number = 0; number < results.size(); ++number) EXPECT_EQ(heard[number], results[number].text);
}

TEST(Generator, TellsHowLongItTook) {
  const GenerationResult result = write_alone(request(3, 12));

  EXPECT_GT(result.first_token_s, 0.0);
  EXPECT_GE(result.total_s, result.first_token_s);
  EXPECT_GT(result.tokens_per_second(), 0.0);
  EXPECT_EQ(GenerationResult{}.tokens_per_second(), 0.0);
}

TEST(Generator, NamesEveryRequestThatCannotBeServed) {
  GenerationRequest foreign = request(3, 4);
  foreign.prompt[1] = 300;
  GenerationRequest stop = request(3, 4);
  stop.stop = {""};
  GenerationRequest of_file = request(0, 4);
  of_file.name = "prompts.jsonl:9";
  GenerationRequest longer = request(3, 4);
  longer.min_new_tokens = 5;
  const std::vector<GenerationRequest> requests{request(25, 4), request(0, 4), request(3, 0), foreign,
                                                stop,           request(3, 4), of_file,       longer};
  try {
    check_requests(requests, kContext, 256);
    FAIL() << "expected DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("prompt 1: expected at most 24 tokens, the model's context, found 25"));
    EXPECT_THAT(error.what(), HasSubstr("prompt 2: expected at least one token"));
    EXPECT_THAT(error.what(), HasSubstr("prompt 3: expected max_new_tokens"));
    EXPECT_THAT(error.what(), HasSubstr("prompt 4: expected ids below 256, found 300"));
    EXPECT_THAT(error.what(), HasSubstr("prompt 5: expected stop texts"));
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("prompt 6")));
    EXPECT_THAT(error.what(), HasSubstr("prompts.jsonl:9: expected at least one token"));
    EXPECT_THAT(error.what(), HasSubstr("prompt 8: expected min_new_tokens of 0 to max_new_tokens, 4, found 5"));
  }
  EXPECT_THROW(write_alone(request(25, 4)), DataError);
}

TEST(Generator, RefusesWrongOptions) { EXPECT_THROW(write_on(1, {}, {.temperature = -1.0}), ConfigError); }

// --- with a real transformer
// ------------------------------------------------------------------------------------------

/// A tokenizer of the tiny model's ids.
class TinyTokenizer final : public Tokenizer {
 public:
  std::string name() const override { return "tiny"; }
  std::int64_t vocabulary() const override { return 21; }
  void encode(std::string_view text, std::vector<std::int32_t>& tokens) const override {
    for (const char letter : text) tokens.push_back(letter - 'a');
  }
  std::string decode(std::span<const std::int32_t> tokens) const override {
    std::string text;
    for (const std::int32_t token : tokens) text += static_cast<char>('a' + token);
    return text;
  }
};

std::vector<std::string> write_with_transformer(const std::string& family, const MeshShape& shape, int stage,
                                                std::int64_t rows) {
  const TinyTokenizer tokenizer;
  std::vector<GenerationRequest> requests;
  for (const char* prompt : {"abc", "q", "fghijklmno", "tsr", "bbbb"}) {
    requests.push_back({.prompt = {}, .max_new_tokens = 20, .stop = {}});
    tokenizer.encode(prompt, requests.back().prompt);
  }
  std::vector<std::string> texts;
  std::mutex mutex;
  on_ranks(shape, [&](RankParts& rank) {
    test::TestModel model(rank, test::tiny_spec(family), {.rows = rows, .slots = 0},
                          {.rule = {}, .persistence_threshold = 0, .stage = stage, .trains = false});
    TransformerDecoder decoder(model.transformer, rank.execution);
    Generator generator(decoder, tokenizer, {rank.mesh.data(), *rank.communication}, {.temperature = 0.8});
    std::vector<std::string> own;
    for (const auto& result : generator.run(requests)) own.push_back(result.text);
    const std::lock_guard lock(mutex);
    if (texts.empty()) texts = own;
    EXPECT_EQ(own, texts);
  });
  return texts;
}

TEST(TransformerGenerator, WritesTheSameTextOnEveryLayout) {
  for (const std::string family : {"gpt2", "llama"}) {
    const auto expected = write_with_transformer(family, {}, 0, 16);
    ASSERT_EQ(expected.size(), 5u);
    EXPECT_EQ(expected[0].size(), 9u);  // context 11, three of them read before
    EXPECT_EQ(write_with_transformer(family, {}, 0, 2), expected) << "prompts in pieces of two tokens";
    EXPECT_EQ(write_with_transformer(family, {.shard = 2}, 3, 16), expected);
    EXPECT_EQ(write_with_transformer(family, {.shard = 3}, 3, 16), expected);
    EXPECT_EQ(write_with_transformer(family, {.replica = 2, .shard = 2}, 3, 16), expected);
    EXPECT_EQ(write_with_transformer(family, {.shard = 4}, 1, 16), expected);
  }
}

TEST(TransformerGenerator, GreedyTextIsWhatTheLossesSay) {
  on_ranks({}, [&](RankParts& rank) {
    const TransformerSpec spec = test::tiny_spec("gpt2");
    test::TestModel model(rank, spec, {.rows = 16, .slots = 0}, {.rule = {}, .stage = 0, .trains = false});
    TransformerDecoder decoder(model.transformer, rank.execution);
    const TinyTokenizer tokenizer;
    Generator generator(decoder, tokenizer, {rank.mesh.data(), *rank.communication}, {.choice = Choice::greedy});
    std::vector<std::int32_t> tokens{3, 1, 4};
    const auto result =
        generator.run(std::vector<GenerationRequest>{{.prompt = tokens, .max_new_tokens = 6, .stop = {}}});

    // The greedy token is the one with the smallest loss in a forward pass over the whole text.
    for (const std::int32_t token : result.at(0).tokens) {
      std::vector<std::int32_t> targets(tokens.size(), -1);
      std::vector<std::int32_t> positions(tokens.size());
      for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
      std::vector<std::int32_t> starts{0, static_cast<std::int32_t>(tokens.size())};
      const auto view = [](std::vector<std::int32_t>& values) {
        return TensorView(reinterpret_cast<std::byte*>(values.data()), DType::i32, {std::ssize(values)});
      };
      double best = 1e9;
      std::int32_t best_token = -1;
      for (std::int32_t candidate = 0; candidate < spec.tokens; ++candidate) {
        targets.back() = candidate;
        const double loss = model.transformer.evaluate({.token = view(tokens),
                                                        .position = view(positions),
                                                        .target = view(targets),
                                                        .sample = {},
                                                        .starts = view(starts),
                                                        .kv_block = {},
                                                        .step = {},
                                                        .rows = std::ssize(tokens),
                                                        .targets = 1});
        if (loss < best) {
          best = loss;
          best_token = candidate;
        }
      }
      EXPECT_EQ(token, best_token);
      tokens.push_back(token);
    }
  });
}

TEST(TransformerGenerator, TakesItsMemoryAtConstruction) {
  on_ranks({}, [&](RankParts& rank) {
    test::TestModel model(rank, test::tiny_spec("llama"), {.rows = 4, .slots = 0},
                          {.rule = {}, .stage = 0, .trains = false});
    TransformerDecoder decoder(model.transformer, rank.execution);
    const std::vector<std::int32_t> prompt{1, 2, 3};
    decoder.read(prompt, 0);
    const std::int64_t allocations = rank.ledger.allocations();

    for (std::int64_t position = 3; position < 11; ++position) decoder.read(std::span(prompt).first(1), position);
    decoder.read({}, 0);

    EXPECT_EQ(rank.ledger.allocations(), allocations);
  });
}

}  // namespace
}  // namespace ferula
