// `[model] path`: the shape comes from the model, and nothing else may contradict it.
#include "config/model_origin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_text.hpp"
#include "config_fixture.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ModelOrigin : public testing::Test {
 protected:
  ModelOrigin() {
    Config model;
    model.model.family = "llama";
    model.model.layers = 2;
    model.model.width = 24;
    model.model.heads = 4;
    model.model.kv_heads = 2;
    model.model.head_dim = 8;
    model.model.context = 512;
    model.model.vocabulary = 61;
    model.model.dropout = 0.5;
    model.data.tokenizer = "ids";
    write(model);
  }
  void write(const Config& model) { scratch_.write("model/config.toml", to_toml(model)); }
  std::vector<std::string> sets(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"model.path=" + scratch_.path("model")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string mistakes(const std::vector<std::string>& more) const { return shown(mistakes_of(kSmallest, sets(more))); }

  ScratchDirectory scratch_;
};

TEST_F(ModelOrigin, GivesShapeAndTokenizerAndSaysSo) {
  const LoadedConfig loaded = load(kSmallest, sets({}));

  EXPECT_EQ(loaded.config.model.family, "llama");
  EXPECT_EQ(loaded.config.model.kv_heads, 2);
  EXPECT_EQ(loaded.config.model.vocabulary, 61);
  EXPECT_EQ(loaded.config.data.tokenizer, "ids");
  EXPECT_EQ(loaded.config.model.dropout, 0.0) << "a choice of the run";
  EXPECT_EQ(loaded.sources.at("model.width").in_words(), "auto: the model in " + scratch_.path("model"));
}

TEST_F(ModelOrigin, EqualKeysAreLegalAndOthersAreNamedWithBothValues) {
  EXPECT_EQ(load(kSmallest, sets({"model.layers=2", "model.kv_heads=auto", "data.tokenizer=ids"})).config.model.layers,
            2);
  EXPECT_THAT(mistakes({"model.layers=3", "model.tied_embeddings=true", "data.tokenizer=bytes"}),
              AllOf(HasSubstr("model.layers: expected 2 of the model in"), HasSubstr("found 3"),
                    HasSubstr("data.tokenizer: expected \"ids\"")));
}

TEST_F(ModelOrigin, RotaryPositionsMayBeFewer) {
  EXPECT_EQ(load(kSmallest, sets({"model.context=128"})).config.model.context, 128);
  EXPECT_THAT(mistakes({"model.context=1024"}), HasSubstr("model.context: expected 512"));
}

TEST_F(ModelOrigin, LearnedPositionsMayNot) {
  write({});

  EXPECT_THAT(mistakes({"model.context=128"}), HasSubstr("model.context: expected 256"));
}

TEST_F(ModelOrigin, AFolderWithoutAModelIsOneMistake) {
  const auto none = mistakes_of(kSmallest, {"model.path=/nowhere", "data.tokenizer=ids"});
  scratch_.write("model/config.toml", "[model]\nlayers = \"many\"\n");

  ASSERT_EQ(none.size(), 1u) << shown(none);
  EXPECT_THAT(none.front().message, HasSubstr("'/nowhere/config.toml' cannot be read"));
  EXPECT_THAT(mistakes({}), HasSubstr("model.path: expected the configuration of a model, found mistakes"));
}

TEST_F(ModelOrigin, WhatThatModelBeganFromMayBeGone) {
  Config model;
  model.model.path = "/nowhere";
  write(model);

  EXPECT_EQ(load(kSmallest, sets({})).config.model.layers, model.model.layers);
}

TEST(IdTokenizer, NeedsAVocabularyOfTheModel) {
  EXPECT_THAT(shown(mistakes_of(kSmallest, {"data.tokenizer=ids"})),
              HasSubstr("the tokenizer \"ids\" has no vocabulary of its own"));
}

TEST(ConfigOfInference, NeedsNoDataAndNoLength) {
  EXPECT_EQ(load_config_text("[run]\nseed = 3\n", "x", {}, {}, ConfigUse::inference).config.run.seed, 3);
  EXPECT_THAT(shown(mistakes_of("[run]\nseed = 3\n")), HasSubstr("expected data.text or data.tokens"));
}

}  // namespace
}  // namespace ferula
