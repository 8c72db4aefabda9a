// config.json of published models: what becomes a model here, and what is refused, all of it at once.
#include "interchange/hugging_face_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "support/message_of.hpp"

namespace ferula {
namespace {

using test::message_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Of GPT-2 124M, as its authors published it, with `more` behind it.
std::string gpt2(const std::string& more = "") {
  return R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
             "n_layer": 12, "n_positions": 1024, "vocab_size": 50257, "layer_norm_epsilon": 1e-05,
             "activation_function": "gelu_new", "bos_token_id": 50256)" +
         more + "}";
}

/// Of Llama 2 7B.
std::string llama(const std::string& more = "") {
  return R"({"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 4096,
             "intermediate_size": 11008, "max_position_embeddings": 4096, "num_attention_heads": 32,
             "num_hidden_layers": 32, "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
             "rope_scaling": null, "tie_word_embeddings": false, "torch_dtype": "float16", "vocab_size": 32000)" +
         more + "}";
}

ModelConfig model_of(const std::string& text) { return read_published_model(text, "config.json").model; }

std::string refusal(const std::string& text) {
  return message_of<DataError>([&] { model_of(text); });
}

TEST(PublishedModel, Gpt2HasItsSizesAndTheDefaultsOfItsKind) {
  const ModelConfig model = model_of(gpt2());

  EXPECT_EQ(model.family, "gpt2");
  EXPECT_EQ(model.layers, 12);
  EXPECT_EQ(model.width, 768);
  EXPECT_EQ(model.heads, 12);
  EXPECT_EQ(model.head_dim, 64);
  EXPECT_EQ(model.context, 1024);
  EXPECT_EQ(model.vocabulary, 50257);
  EXPECT_EQ(model.ffn_width, 3072);
  EXPECT_EQ(model.tied_embeddings, true);
  EXPECT_EQ(model.norm_eps, 1e-5);
}

TEST(PublishedModel, LlamaHasItsSizes) {
  const ModelConfig model = model_of(llama(R"(, "head_dim": null)"));

  EXPECT_EQ(model.family, "llama");
  EXPECT_EQ(model.kv_heads, 32);
  EXPECT_EQ(model.head_dim, 128);
  EXPECT_EQ(model.ffn_width, 11008);
  EXPECT_EQ(model.tied_embeddings, false);
  EXPECT_EQ(model.rope_theta, 10000.0);
  EXPECT_EQ(model_of(llama(R"(, "rope_theta": 5e5)")).rope_theta, 5e5);
}

TEST(PublishedModel, TheBaseOfPositionsMayStandWhereNewVersionsWriteIt) {
  EXPECT_EQ(model_of(llama(R"(, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"})")).rope_theta, 5e5);
  EXPECT_THAT(refusal(llama(R"(, "rope_parameters": {"rope_theta": 5e5, "rope_type": "yarn"})")),
              AllOf(HasSubstr("rope_parameters: expected none"), HasSubstr("yarn")));
}

TEST(PublishedModel, EverythingThatCannotBeComputedIsNamedAtOnce) {
  EXPECT_THAT(
      refusal(R"({"architectures": ["LlamaForCausalLM"], "hidden_act": "gelu", "hidden_size": "big",
                  "intermediate_size": 16, "max_position_embeddings": 8, "num_attention_heads": 2,
                  "num_hidden_layers": 0, "vocab_size": 9, "attention_bias": true, "mlp_bias": 1,
                  "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "quantization_config": {"bits": 4}})"),
      AllOf(HasSubstr("hidden_act: expected \"silu\" or \"swish\", found \"gelu\""), HasSubstr("hidden_size"),
            HasSubstr("num_hidden_layers: expected a whole number from 1"), HasSubstr("attention_bias: expected false"),
            HasSubstr("mlp_bias: expected true or false, found 1"), HasSubstr("rope_scaling"), HasSubstr("llama3"),
            HasSubstr("quantization_config: expected nothing")));
  EXPECT_THAT(refusal(gpt2(R"(, "n_head": 13, "activation_function": "relu", "scale_attn_weights": false,
                             "scale_attn_by_inverse_layer_idx": true, "add_cross_attention": true})")),
              HasSubstr("expected the JSON object"))
      << "a brace too many";
  EXPECT_THAT(refusal(gpt2(R"(, "n_inner": -1, "scale_attn_weights": false, "scale_attn_by_inverse_layer_idx": true,
                             "add_cross_attention": true, "layer_norm_epsilon": 0)")),
              AllOf(HasSubstr("n_inner"), HasSubstr("scale_attn_weights: expected true"),
                    HasSubstr("scale_attn_by_inverse_layer_idx"), HasSubstr("add_cross_attention"),
                    HasSubstr("layer_norm_epsilon: expected a number above 0")));
}

TEST(PublishedModel, OtherArchitecturesAreRefusedByName) {
  EXPECT_THAT(refusal(R"({"architectures": ["MistralForCausalLM"]})"),
              AllOf(HasSubstr("found [\"MistralForCausalLM\"]"), Not(HasSubstr("hidden_size"))));
  EXPECT_THAT(refusal(R"({"model_type": "gpt2"})"), HasSubstr("architectures: expected"));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected the JSON object of a model"));
  EXPECT_THAT(refusal("<html>"), HasSubstr("expected the JSON object of a model"));
}

TEST(PublishedModel, KeysThatNobodyReadsAreTold) {
  EXPECT_THAT(read_published_model(llama(R"(, "sliding": 7, "use_cache": true)"), "x").unknown_keys,
              ElementsAre("sliding"));
}

}  // namespace
}  // namespace ferula
