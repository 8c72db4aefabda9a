// Names, counts and edits of the parameter table; which configurations make no transformer; arithmetic a token.
#include "model/parameter_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "model/flops.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

ModelConfig gpt2_124m() {
  ModelConfig config;
  config.family = "gpt2";
  config.layers = 12;
  config.width = 768;
  config.heads = 12;
  config.kv_heads = 12;
  config.head_dim = 64;
  config.ffn_width = 3072;
  config.context = 1024;
  config.vocabulary = 50257;
  config.tied_embeddings = true;
  return config;
}

ModelConfig tiny_llama_1b() {
  ModelConfig config;
  config.family = "llama";
  config.layers = 22;
  config.width = 2048;
  config.heads = 32;
  config.kv_heads = 4;
  config.head_dim = 64;
  config.ffn_width = 5632;
  config.context = 2048;
  config.vocabulary = 32000;
  config.tied_embeddings = false;
  return config;
}

std::map<std::string, ParamSpec> by_name(const ModelSpec& model) {
  std::map<std::string, ParamSpec> params;
  for (const UnitSpec& unit : model)
    for (const ParamSpec& param : unit.params) params[param.name] = param;
  return params;
}

std::vector<std::string> names_of(const UnitSpec& unit) {
  std::vector<std::string> names;
  for (const ParamSpec& param : unit.params) names.push_back(param.name);
  return names;
}

TEST(ParameterTable, CountsThePublishedModels) {
  EXPECT_EQ(parameter_count(parameter_table(transformer_spec(gpt2_124m(), 50257), DType::f32)), 124'439'808);
  EXPECT_EQ(parameter_count(parameter_table(transformer_spec(tiny_llama_1b(), 32000), DType::f32)), 1'100'048'384);
}

TEST(ParameterTable, NamesTheTensorsOfABlockInTheOrderOfTheForwardPass) {
  const ModelSpec gpt2 = parameter_table(transformer_spec(gpt2_124m(), 50257), DType::f32);
  const ModelSpec llama = parameter_table(transformer_spec(tiny_llama_1b(), 32000), DType::f32);

  EXPECT_THAT(
      names_of(gpt2[block_unit(3)]),
      ElementsAre("blocks.3.attention_norm.weight", "blocks.3.attention_norm.bias", "blocks.3.attention.query.weight",
                  "blocks.3.attention.key.weight", "blocks.3.attention.value.weight", "blocks.3.attention.query.bias",
                  "blocks.3.attention.key.bias", "blocks.3.attention.value.bias", "blocks.3.attention.output.weight",
                  "blocks.3.attention.output.bias", "blocks.3.feed_forward_norm.weight",
                  "blocks.3.feed_forward_norm.bias", "blocks.3.feed_forward.up.weight", "blocks.3.feed_forward.up.bias",
                  "blocks.3.feed_forward.down.weight", "blocks.3.feed_forward.down.bias"));
  EXPECT_THAT(
      names_of(llama[block_unit(0)]),
      ElementsAre("blocks.0.attention_norm.weight", "blocks.0.attention.query.weight", "blocks.0.attention.key.weight",
                  "blocks.0.attention.value.weight", "blocks.0.attention.output.weight",
                  "blocks.0.feed_forward_norm.weight", "blocks.0.feed_forward.gate.weight",
                  "blocks.0.feed_forward.up.weight", "blocks.0.feed_forward.down.weight"));
}

TEST(ParameterTable, ATiedHeadIsTheUnitOfTheEmbedding) {
  const TransformerSpec tied = transformer_spec(gpt2_124m(), 50257);
  const TransformerSpec untied = transformer_spec(tiny_llama_1b(), 32000);

  const ModelSpec gpt2 = parameter_table(tied, DType::bf16);
  const ModelSpec llama = parameter_table(untied, DType::bf16);

  EXPECT_EQ(gpt2.size(), 13u);
  EXPECT_EQ(head_unit(tied), 0u);
  EXPECT_THAT(names_of(gpt2[0]), ElementsAre("embedding.token.weight", "embedding.position.weight", "final_norm.weight",
                                             "final_norm.bias"));
  EXPECT_EQ(llama.size(), 24u);
  EXPECT_THAT(names_of(llama[0]), ElementsAre("embedding.token.weight"));
  EXPECT_THAT(names_of(llama[head_unit(untied)]), ElementsAre("final_norm.weight", "head.weight"));
}

TEST(ParameterTable, InitialisesProjectionsOntoTheResidualStreamSmaller) {
  const auto params = by_name(parameter_table(transformer_spec(gpt2_124m(), 50257), DType::f32));

  EXPECT_FLOAT_EQ(params.at("blocks.0.attention.query.weight").init_std, 0.02f);
  EXPECT_FLOAT_EQ(params.at("blocks.0.attention.output.weight").init_std, 0.02f / std::sqrt(24.0f));
  EXPECT_FLOAT_EQ(params.at("blocks.11.feed_forward.down.weight").init_std, 0.02f / std::sqrt(24.0f));
  EXPECT_EQ(params.at("final_norm.weight").init, InitKind::ones);
  EXPECT_EQ(params.at("blocks.0.feed_forward.up.bias").init, InitKind::zeros);
}

TEST(ParameterTable, OnlyMatricesDecayAndTheGlobsTakeMoreAway) {
  ModelSpec model = parameter_table(transformer_spec(gpt2_124m(), 50257), DType::f32);
  EXPECT_TRUE(by_name(model).at("embedding.token.weight").decay);
  EXPECT_FALSE(by_name(model).at("final_norm.weight").decay);

  apply_no_decay(model, std::vector<std::string>{"*.bias", "embedding.*", "nothing*"});

  EXPECT_FALSE(by_name(model).at("embedding.token.weight").decay);
  EXPECT_TRUE(by_name(model).at("blocks.0.attention.key.weight").decay);
}

TEST(ParameterTable, FreezingAPartOfJoinedTensorsSeparatesThem) {
  ModelSpec model = parameter_table(transformer_spec(tiny_llama_1b(), 32000), DType::f32);

  freeze(model, std::vector<std::string>{"*.key.weight", "*.feed_forward.*"});

  const auto params = by_name(model);
  EXPECT_FALSE(params.at("blocks.4.attention.key.weight").trainable);
  EXPECT_TRUE(params.at("blocks.4.attention.value.weight").trainable);
  EXPECT_EQ(params.at("blocks.4.attention.value.weight").placing, Placing::separate);
  EXPECT_EQ(params.at("blocks.4.feed_forward.up.weight").placing, Placing::joined_to_previous);
}

TEST(ParameterTable, RefusesToFreezeWhatDoesNotExist) {
  ModelSpec model = parameter_table(transformer_spec(tiny_llama_1b(), 32000), DType::f32);

  EXPECT_THAT(([&] { freeze(model, std::vector<std::string>{"layers.*"}); }),
              ThrowsMessage<ConfigError>(HasSubstr("\"layers.*\", which matches none")));
}

TEST(TransformerSpec, RefusesNumbersThatDoNotFitEachOther) {
  const auto spec_with = [](auto edit) {
    return [edit] {
      ModelConfig config = tiny_llama_1b();
      edit(config);
      transformer_spec(config, 32000);
    };
  };

  EXPECT_THAT(spec_with([](ModelConfig& c) { c.family = "bert"; }),
              ThrowsMessage<ConfigError>(HasSubstr("expected one of gpt2, llama, found \"bert\"")));
  EXPECT_THAT(spec_with([](ModelConfig& c) { c.kv_heads = 5; }),
              ThrowsMessage<ConfigError>(HasSubstr("expected a divisor of heads = 32, found 5")));
  EXPECT_THAT(spec_with([](ModelConfig& c) { c.head_dim = 33; }),
              ThrowsMessage<ConfigError>(HasSubstr("even number, found 33")));
  EXPECT_THAT(spec_with([](ModelConfig& c) { c.vocabulary = 31999; }),
              ThrowsMessage<ConfigError>(HasSubstr("at least the tokenizer's 32000, found 31999")));
  EXPECT_THAT(spec_with([](ModelConfig& c) { c.layers = 0; }),
              ThrowsMessage<ConfigError>(HasSubstr("layers: expected at least 1, found 0")));
}

TEST(Flops, CountWhatIsMultiplied) {
  const TransformerSpec gpt2 = transformer_spec(gpt2_124m(), 50257);
  const TransformerSpec llama = transformer_spec(tiny_llama_1b(), 32000);

  EXPECT_EQ(multiplied_parameters(gpt2), 124'439'808 - 1024 * 768);
  EXPECT_EQ(multiplied_parameters(llama), 1'100'048'384 - 32000 * 2048);
  EXPECT_DOUBLE_EQ(training_flops_per_token(gpt2, 256), 6.0 * (124'439'808 - 1024 * 768) + 12.0 * 12 * 768 * 256);
}

}  // namespace
}  // namespace ferula
