// Every rule of the configuration once broken and, where it is a limit, once just kept.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/refused_keys.hpp"
#include "config_fixture.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;
using Sets = std::vector<std::string>;

struct Rule {
  Sets sets;
  std::string key;      // at which the mistake is reported
  std::string message;  // a part of it
  std::string fix;      // a part of it
};

const Rule kBroken[] = {
    // types
    {{"model.layers=six"}, "model.layers", "expected an integer from 1 to 10000, found the string \"six\"", ""},
    {{"model.layers=true"}, "model.layers", "found true", ""},
    {{"model.layers=1979-05-27"}, "model.layers", "found a date", ""},
    {{"model.layers=[1]"}, "model.layers", "found a list of one value", ""},
    {{"model.layers=99999999999999999999"}, "model.layers", "out of range", ""},
    {{"bf16.enabled=1"}, "bf16.enabled", "expected true, false or \"auto\", found the integer 1", "without quotes"},
    {{"optimizer.params.lr=nan"}, "optimizer.params.lr", "expected a number, at least 0", ""},
    {{"optimizer.params.lr=inf"}, "optimizer.params.lr", "found the number inf", ""},
    {{"optimizer.params.betas=[0.9]"}, "optimizer.params.betas", "2 of them", ""},
    {{"optimizer.params.betas=[0.9, 1.0]"}, "optimizer.params.betas", "found the number 1 in it", ""},
    {{"data.text=[\"\"]"}, "data.text", "found the string \"\" in it", "not empty"},
    {{"model={}", "model=3"}, "model", "'model' is a section: expected a table, found the integer 3", "[model]"},
    {{"model.layers={a=1}"}, "model.layers", "found a table", ""},
    // ranges
    {{"model.layers=0"}, "model.layers", "found the integer 0", ""},
    {{"model.dropout=1.0"}, "model.dropout", "at least 0 and below 1", ""},
    {{"model.norm_eps=0"}, "model.norm_eps", "above 0", ""},
    {{"data.validation_fraction=1"}, "data.validation_fraction", "below 1", ""},
    {{"zero_optimization.stage=4"}, "zero_optimization.stage", "from 0 to 3", ""},
    {{"zero_optimization.stage=-1"}, "zero_optimization.stage", "from 0 to 3", ""},
    {{"checkpoint.keep_last=0"}, "checkpoint.keep_last", "at least 1", ""},
    {{"debug.collective_timeout_s=0"}, "debug.collective_timeout_s", "(seconds)", ""},
    {{"model.head_dim=258"}, "model.head_dim", "from 2 to 256", ""},
    // words
    {{"model.family=gtp2"}, "model.family", "expected one of \"gpt2\", \"llama\"", "did you mean \"gpt2\"?"},
    {{"optimizer.type=adamw"}, "optimizer.type", "found the string \"adamw\"", "did you mean \"AdamW\"?"},
    {{"scheduler.type=OneCycle"}, "scheduler.type", "belongs to a feature that does not exist yet", "use \"constant\""},
    {{"optimizer.type=Adagrad"}, "optimizer.type", "belongs to a feature that does not exist yet", "AdamW"},
    {{"data.tokenizer=tokenizer.json"}, "data.tokenizer", "belongs to a feature that does not exist yet", "bytes"},
    {{"zero_optimization.shard_size=some"}, "zero_optimization.shard_size", "a positive integer or \"all\"", ""},
    {{"zero_optimization.shard_size=0"}, "zero_optimization.shard_size", "a positive integer or \"all\"", ""},
    // parameters of a type
    {{"optimizer.type=SGD", "optimizer.params.betas=[0.9, 0.9]"}, "optimizer.params.betas", "SGD has no parameter", ""},
    {{"optimizer.type=Lion", "optimizer.params.eps=1e-8"}, "optimizer.params.eps", "Lion has no parameter 'eps'", ""},
    {{"optimizer.params.momentum=0.9"}, "optimizer.params.momentum", "AdamW has no parameter", "belongs to SGD"},
    {{"optimizer.params.adam_w_mode=true"}, "optimizer.params.adam_w_mode", "AdamW has no parameter", "to Adam"},
    {{"scheduler.params.warmup_num_steps=5"}, "scheduler.params.warmup_num_steps", "constant has no parameter", ""},
    {{"scheduler.type=WarmupLR", "scheduler.params.total_num_steps=5"}, "scheduler.params.total_num_steps", "", ""},
    {{"optimizer.params.max_grad_norm=1.0"},
     "optimizer.params.max_grad_norm",
     "'max_grad_norm' is not supported as an optimizer parameter, please switch to using the deepspeed parameter "
     "'gradient_clipping'",
     "[training]"},
    // between keys
    {{"run.name=a/b"}, "run.name", "expected the name of a directory", "output_dir"},
    {{"run.name=.."}, "run.name", "expected the name of a directory", ""},
    {{"model.heads=7"}, "model.heads", "expected a divisor of model.width = 256, found 7", "model.head_dim"},
    {{"model.width=24", "model.heads=8"}, "model.heads", "expected an even head size of at most 256, found width", ""},
    {{"model.width=1024", "model.heads=2"}, "model.heads", "expected an even head size of at most 256", ""},
    {{"model.head_dim=33"}, "model.head_dim", "expected an even number, found 33", ""},
    {{"model.kv_heads=3"}, "model.kv_heads", "expected a divisor of model.heads = 8, found 3", ""},
    {{"model.kv_heads=16"}, "model.kv_heads", "expected a divisor of model.heads = 8, found 16", ""},
    {{"data.tokens=x.h5"}, "data.text", "expected either data.text or data.tokens, found both", ""},
    {{"data.text=[]"}, "data.text", "found neither", "--set data.text"},
    {{"data.sequence_length=257"}, "data.sequence_length", "at most model.context = 256, found 257", ""},
    {{"training.evaluate_every=5", "data.validation_fraction=0"}, "training.evaluate_every", "expected 0", ""},
    {{"training.epochs=1.0"}, "training.steps", "found both", "auto"},
    {{"training.steps=auto"}, "training.steps", "found neither", ""},
    {{"training.train_batch_size=auto"},
     "training.train_batch_size",
     "Either train_batch_size or train_micro_batch_size_per_gpu needs to be provided",
     ""},
    {{"optimizer.type=SGD", "optimizer.params.nesterov=true"}, "optimizer.params.nesterov", "a momentum above 0", ""},
    {{"scheduler.type=WarmupDecayLR", "scheduler.params.total_num_steps=10", "scheduler.params.warmup_num_steps=11"},
     "scheduler.params.warmup_num_steps",
     "total_num_steps 10 is less than warmup_num_steps 11",
     ""},
    // with facts: one rank, 256 tokens
    {{"training.train_micro_batch_size_per_gpu=3"},
     "training.train_batch_size",
     "train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * world_size 8 != 3 * 2 * 1",
     "train_batch_size = 9, train_micro_batch_size_per_gpu = 3, gradient_accumulation_steps = 3"},
    {{"zero_optimization.shard_size=2"}, "zero_optimization.shard_size", "a divisor of the 1 data-parallel ranks", "1"},
    {{"model.vocabulary=255"}, "model.vocabulary", "at least the tokenizer's 256 tokens, found 255", "auto"},
    {{"scheduler.type=cosine"}, "scheduler.type", "total_num_steps 10 is less than warmup_num_steps 1000", ""},
};

TEST(ConfigRules, EachBrokenRuleIsReportedOnceWithKeyReasonAndFix) {
  for (const Rule& rule : kBroken) {
    const auto mistakes = mistakes_of(kSmallest, rule.sets);

    ASSERT_EQ(mistakes.size(), 1u) << rule.sets.back() << "\n" << shown(mistakes);
    EXPECT_EQ(mistakes[0].key, rule.key);
    EXPECT_THAT(mistakes[0].message, HasSubstr(rule.message));
    EXPECT_THAT(mistakes[0].fix, HasSubstr(rule.fix)) << rule.sets.back();
    EXPECT_FALSE(mistakes[0].fix.empty());
    EXPECT_FALSE(mistakes[0].where.label().empty());
  }
}

const Sets kKept[] = {
    {"model.layers=1"},
    {"model.dropout=0.999"},
    {"model.head_dim=2"},
    {"model.head_dim=256"},
    {"model.heads=7", "model.head_dim=32"},
    {"model.kv_heads=1"},
    {"model.vocabulary=257"},
    {"data.validation_fraction=0"},
    {"data.sequence_length=256"},
    {"data.text=[]", "data.tokens=x.h5"},
    {"zero_optimization.stage=3", "zero_optimization.shard_size=1"},
    {"run.deterministic=true"},
    {"run.device=cuda", "run.share_gpu=true"},
    {"training.steps=auto", "training.epochs=0.5"},
    {"training.train_batch_size=auto", "training.train_micro_batch_size_per_gpu=2"},
    {"optimizer.type=Adam", "optimizer.params.adam_w_mode=false", "optimizer.params.bias_correction=false"},
    {"optimizer.type=SGD", "optimizer.params.momentum=0.9", "optimizer.params.nesterov=true"},
    {"optimizer.type=Lion", "optimizer.params.betas=[0.9, 0.99]"},
    {"scheduler.type=WarmupDecayLR", "scheduler.params.total_num_steps=10", "scheduler.params.warmup_num_steps=10"},
    {"scheduler.type=linear", "scheduler.params.warmup_num_steps=1", "scheduler.params.cos_min_ratio=0.1"},
    {"scheduler.type=WarmupLR", "scheduler.params.warmup_max_lr=0.1"},
};

TEST(ConfigRules, LegalValuesPass) {
  for (const Sets& sets : kKept) {
    const auto mistakes = mistakes_of(kSmallest, sets);

    EXPECT_TRUE(mistakes.empty()) << sets.back() << "\n" << shown(mistakes);
  }
}

TEST(ConfigRules, ARuleKeepsSilentWhereItsKeyIsInDoubt) {
  const auto mistakes = mistakes_of("[data]\ntext = 3\n[training]\nstep = 10\ntrain_batch_sise = 8\n");

  ASSERT_EQ(mistakes.size(), 3u) << shown(mistakes);
  EXPECT_EQ(mistakes[0].key, "data.text");
  EXPECT_EQ(mistakes[1].key, "training.step");
  EXPECT_EQ(mistakes[2].key, "training.train_batch_sise");
}

TEST(ConfigRules, AKeyThatIsGivenByItsNameIsNotInDoubt) {
  const auto mistakes = mistakes_of(
      "[data]\ntext = \"a.txt\"\n[training]\nsteps = 10\ntrain_batch_size = 8\n"
      "[modle]\nlayers = 1\n[model]\nwidth = 33\nheads = 4\n");

  ASSERT_EQ(mistakes.size(), 2u) << shown(mistakes);
  EXPECT_EQ(mistakes[0].key, "modle");
  EXPECT_EQ(mistakes[1].key, "model.heads");
}

TEST(RefusedKeys, EachIsRefusedWithItsReasonAndNothingElse) {
  for (const RefusedKey& refused : refused_keys()) {
    const auto as_value = mistakes_of(kSmallest, {refused.key + "=1"});
    const auto as_table = mistakes_of(kSmallest, {refused.key + "={device=\"cpu\", enabled=true}"});

    for (const auto& mistakes : {as_value, as_table}) {
      ASSERT_EQ(mistakes.size(), 1u) << refused.key;
      EXPECT_EQ(mistakes[0].message, "'" + refused.key + "' " + refused.reason);
    }
    EXPECT_THAT(refused.reason, testing::AnyOf(HasSubstr("belongs to a feature that does not exist yet"),
                                               HasSubstr("has no meaning here because"), HasSubstr("max_grad_norm")));
  }
}

}  // namespace
}  // namespace ferula
