// From a configuration to DeepSpeed's JSON, and there and back again.
#include "interchange/export_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_template.hpp"
#include "config/resolve_config.hpp"
#include "interchange/import_config.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kRun = "[run]\nname = \"mine\"\n[data]\ntext = \"a.txt\"\n[training]\nsteps = 10\n";

ExportedConfig exported(const std::string& toml, std::int64_t ranks = 1) {
  ConfigDraft draft = draft_config_text(toml, "my.toml", {}, {});
  const Config given = draft.loaded.config;
  return export_deepspeed(given, resolve_config(std::move(draft), {.data_parallel_ranks = ranks}).config);
}

/// What `config import` writes for a file.
Config config_of(const std::string& json, std::int64_t ranks) {
  const ImportedConfig imported = import_config(json, "ds.json");
  const std::string toml = new_config_toml("small", imported.sets, {.data_parallel_ranks = ranks});
  return load_config_text(toml, "my.toml", {}, {}).config;
}

TEST(ExportConfig, WritesDeepSpeedsKeys) {
  const ExportedConfig made = exported(kRun + R"(train_batch_size = 32
train_micro_batch_size_per_gpu = 4
gradient_clipping = 0.5
[optimizer]
type = "Lion"
params = { lr = 1e-4 }
[zero_optimization]
stage = 3
shard_size = 2
)",
                                       4);

  EXPECT_THAT(made.json, AllOf(HasSubstr("\"train_batch_size\": 32,"), HasSubstr("\"gradient_clipping\": 0.5,"),
                               HasSubstr("\"type\": \"Lion\""), HasSubstr("\"mics_shard_size\": 2"),
                               Not(HasSubstr("gradient_accumulation_steps")), Not(HasSubstr("\"scheduler\"")),
                               Not(HasSubstr("auto")), Not(HasSubstr("\"model\""))));
}

TEST(ExportConfig, SaysWhatHasNoKeyThere) {
  const ExportedConfig made = exported(kRun +
                                       "train_batch_size = 8\n[scheduler]\ntype = \"cosine\"\n"
                                       "[scheduler.params]\nwarmup_num_steps = 2\n");

  std::vector<std::string> keys;
  for (const LeftOutKey& key : made.left_out) keys.push_back(key.key);
  EXPECT_THAT(keys, testing::UnorderedElementsAre("run.name", "data.text", "training.steps", "scheduler.type",
                                                  "scheduler.params.warmup_num_steps"));
}

TEST(ExportConfig, LetsDeepSpeedShardAnyOptimizer) {
  const std::string sgd = kRun + "train_batch_size = 8\n[optimizer]\ntype = \"SGD\"\n[zero_optimization]\nstage = ";

  EXPECT_THAT(exported(sgd + "1\n").json, HasSubstr("\"zero_allow_untested_optimizer\": true"));
  EXPECT_THAT(exported(sgd + "0\n").json, Not(HasSubstr("zero_allow_untested_optimizer")));
}

const std::string kFiles[] = {
    R"({"train_batch_size": 32, "train_micro_batch_size_per_gpu": 4})",
    R"({"train_batch_size": 16, "gradient_clipping": 1.0, "bf16": {"enabled": true},
        "optimizer": {"type": "AdamW", "params": {"lr": 3e-5, "betas": [0.8, 0.9], "weight_decay": 0.01}},
        "scheduler": {"type": "WarmupCosineLR", "params": {"total_num_steps": 99, "warmup_num_steps": 9}}})",
    R"({"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 3,
        "optimizer": {"type": "SGD", "params": {"lr": 0.1, "momentum": 0.9, "nesterov": true}},
        "scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 7, "warmup_type": "linear"}},
        "zero_optimization": {"stage": 3, "overlap_comm": false, "stage3_prefetch_bucket_size": 1234}})",
    R"({"train_batch_size": 16, "optimizer": {"type": "Lion", "params": {"lr": 1e-4}},
        "comms_logger": {"enabled": true},
        "zero_optimization": {"stage": 3, "mics_shard_size": 2}})",
};

TEST(ExportConfig, KeepsTheMeaningOfAFileThatComesBack) {
  for (const std::string& file : kFiles) {
    const Config first = config_of(file, 4);

    const std::string back =
        exported(new_config_toml("small", import_config(file, "ds.json").sets, {.data_parallel_ranks = 4}), 4).json;
    const Config second = config_of(back, 4);

    EXPECT_EQ(first.optimizer, second.optimizer) << back;
    EXPECT_EQ(first.scheduler, second.scheduler) << back;
    EXPECT_EQ(first.zero_optimization, second.zero_optimization) << back;
    EXPECT_EQ(first.training.gradient_clipping, second.training.gradient_clipping) << back;
    EXPECT_EQ(first.training.train_batch_size, second.training.train_batch_size) << back;
    EXPECT_EQ(first.bf16, second.bf16) << back;
    EXPECT_EQ(first.comms_logger, second.comms_logger) << back;
  }
}

}  // namespace
}  // namespace ferula
