// Configurations of other programs: what each key becomes, and what is wrong with a file at which place.
#include "interchange/import_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "config/config_template.hpp"
#include "config/load_config.hpp"
#include "support/foreign_keys.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// As DeepSpeed's tutorials have it, with comments and a comma too many.
const std::string kDeepSpeedFile = R"({
  // the batch: 32 = 4 * 2 * 4 ranks
  "train_batch_size": 32, /* over
     all ranks */
  "train_micro_batch_size_per_gpu": 4,
	"gradient_accumulation_steps": 2,
  "optimizer": {"type": "Adam", "params": {"lr": 3e-5, "betas": [0.8, 0.999], "eps": 1e-8, "torch_adam": true}},
  "scheduler": {"type": "WarmupDecayLR", "params": {"total_num_steps": 1000, "warmup_num_steps": 1e2}},
  "fp16": {"enabled": false, "loss_scale": 0},
  "bf16": {"enabled": true},
  "zero_optimization": {
    "stage": 3, "overlap_comm": true, "reduce_bucket_size": 5e8, "offload_optimizer": {"device": "cpu"},
    "offload_param": {"device": "none"}, "stage3_prefetch_bucket_size": 1e7, "stage3_max_live_paramters": 1
  },
  "wandb": {"enabled": true, "project": "http://x"},
})";

const std::string kAccelerateFile = R"(compute_environment: LOCAL_MACHINE
deepspeed_config:
  gradient_accumulation_steps: 4
  gradient_clipping: 0.5
  offload_optimizer_device: cpu
  offload_param_device: none
  zero3_init_flag: true
  zero_stage: 2
distributed_type: DEEPSPEED
mixed_precision: bf16
num_processes: 4
use_cpu: false
main_process_ip: null
)";

KeyFate fate_of(const ImportedConfig& imported, const std::string& key) {
  for (const ImportedKey& each : imported.keys)
    if (each.theirs == key) return each.fate;
  ADD_FAILURE() << "nothing is said of " << key;
  return KeyFate::unknown;
}

std::string mistakes_in(const std::string& text) {
  try {
    import_config(text, "file");
  } catch (const ConfigMistakes& found) {
    return found.what();
  }
  return "none";
}

TEST(ImportConfig, TakesOverDeepSpeedsFile) {
  const ImportedConfig imported = import_config(kDeepSpeedFile, "ds.json");

  EXPECT_EQ(imported.dialect, Dialect::deepspeed);
  EXPECT_EQ(imported.ranks, 4);
  EXPECT_THAT(imported.sets,
              AllOf(Contains("training.train_batch_size=32"), Contains("optimizer.type=\"Adam\""),
                    Contains("optimizer.params.betas=[0.8, 0.999]"), Contains("scheduler.params.warmup_num_steps=100"),
                    Contains("zero_optimization.stage=3"), Contains("zero_optimization.overlap_comm=true"),
                    Contains("zero_optimization.stage3_prefetch_bucket_size=10000000"), Contains("bf16.enabled=true"),
                    Contains("zero_optimization.offload_optimizer.device=\"cpu\"")));
}

TEST(ImportConfig, SaysOfEveryKeyWhatBecameOfIt) {
  const ImportedConfig imported = import_config(kDeepSpeedFile, "ds.json");

  EXPECT_EQ(fate_of(imported, "train_batch_size"), KeyFate::mapped);
  EXPECT_EQ(fate_of(imported, "fp16"), KeyFate::off);
  EXPECT_EQ(fate_of(imported, "zero_optimization.offload_param"), KeyFate::off);
  EXPECT_EQ(fate_of(imported, "zero_optimization.offload_optimizer.device"), KeyFate::mapped);
  EXPECT_EQ(fate_of(imported, "wandb"), KeyFate::unsupported);
  EXPECT_EQ(fate_of(imported, "zero_optimization.reduce_bucket_size"), KeyFate::meaningless);
  EXPECT_EQ(fate_of(imported, "optimizer.params.torch_adam"), KeyFate::meaningless);
  EXPECT_EQ(fate_of(imported, "zero_optimization.stage3_max_live_paramters"), KeyFate::unknown);
  EXPECT_EQ(imported.keys.front().where.line, 3);
}

TEST(ImportConfig, SilenceMeansWhatItMeansThere) {
  const ImportedConfig imported = import_config(R"({"train_batch_size": 8, "scheduler": {"type": "WarmupLR"},
                                                    "optimizer": {"type": "adamw"}})",
                                                "ds.json");

  EXPECT_THAT(imported.sets, AllOf(Contains("training.gradient_clipping=0.0"), Contains("zero_optimization.stage=0"),
                                   Contains("scheduler.params.warmup_max_lr=0.001"), Contains("bf16.enabled=false"),
                                   Contains("optimizer.params.weight_decay=0.0")));
}

TEST(ImportConfig, LeavesOpenWhatTheTrainerWouldFillIn) {
  const ImportedConfig imported = import_config(
      R"({"train_batch_size": "auto", "bf16": {"enabled": "auto"}, "fp16": {"enabled": "auto"},
          "optimizer": {"type": "AdamW", "params": {"lr": "auto"}},
          "zero_optimization": {"stage": 3, "stage3_prefetch_bucket_size": "auto"}})",
      "ds.json");

  EXPECT_EQ(fate_of(imported, "train_batch_size"), KeyFate::left_open);
  EXPECT_EQ(fate_of(imported, "optimizer.params.lr"), KeyFate::left_open);
  EXPECT_EQ(fate_of(imported, "fp16"), KeyFate::left_open);
  EXPECT_THAT(imported.sets, AllOf(Contains("bf16.enabled=\"auto\""),
                                   Contains("zero_optimization.stage3_prefetch_bucket_size=\"auto\"")));
}

TEST(ImportConfig, TakesOverAcceleratesFile) {
  const ImportedConfig imported = import_config(kAccelerateFile, "default_config.yaml");

  EXPECT_EQ(imported.dialect, Dialect::accelerate);
  EXPECT_THAT(imported.sets,
              AllOf(Contains("zero_optimization.stage=2"), Contains("bf16.enabled=true"),
                    Contains("training.gradient_accumulation_steps=4"), Contains("training.gradient_clipping=0.5")));
  EXPECT_EQ(fate_of(imported, "deepspeed_config.offload_optimizer_device"), KeyFate::mapped);
  EXPECT_EQ(fate_of(imported, "deepspeed_config.offload_param_device"), KeyFate::off);
  EXPECT_EQ(fate_of(imported, "num_processes"), KeyFate::meaningless);
}

std::string zero_section(const std::string& members) { return "{\"zero_optimization\": {" + members + "}}"; }

TEST(ImportConfig, MapsOffloadOfTheOptimizer) {
  const ImportedConfig today = import_config(
      zero_section(R"("offload_optimizer": {"device": "CPU", "pin_memory": false, "ratio": 1.0, "buffer_count": 4,
                                            "fast_init": false, "nvme_path": null})"),
      "ds.json");
  const ImportedConfig older =
      import_config(zero_section(R"("cpu_offload": true, "cpu_offload_use_pin_memory": true)"), "ds.json");
  const ImportedConfig disk = import_config(
      zero_section(R"("offload_optimizer": {"device": "nvme", "nvme_path": "/x", "ratio": 0.3})"), "ds.json");

  EXPECT_THAT(today.sets, AllOf(Contains("zero_optimization.offload_optimizer.device=\"cpu\""),
                                Contains("zero_optimization.offload_optimizer.pin_memory=false")));
  EXPECT_EQ(fate_of(today, "zero_optimization.offload_optimizer.ratio"), KeyFate::off);
  EXPECT_EQ(fate_of(today, "zero_optimization.offload_optimizer.buffer_count"), KeyFate::meaningless);
  EXPECT_THAT(older.sets, AllOf(Contains("zero_optimization.offload_optimizer.device=\"cpu\""),
                                Contains("zero_optimization.offload_optimizer.pin_memory=true")));
  for (const char* key : {"device", "nvme_path", "ratio"})
    EXPECT_EQ(fate_of(disk, std::string("zero_optimization.offload_optimizer.") + key), KeyFate::unsupported) << key;
  EXPECT_THAT(import_config("offload_optimizer: true\nlearning_rate: 1e-4\n", "train.yaml").sets,
              Contains("zero_optimization.offload_optimizer.device=\"cpu\""));
}

TEST(ImportConfig, MapsShardingOfFsdp) {
  const std::string head = "distributed_type: FSDP\nfsdp_config:\n  fsdp_sharding_strategy: ";

  EXPECT_THAT(import_config(head + "FULL_SHARD", "a.yaml").sets, Contains("zero_optimization.stage=3"));
  EXPECT_THAT(import_config(head + "SHARD_GRAD_OP", "a.yaml").sets, Contains("zero_optimization.stage=2"));
  EXPECT_THAT(import_config(head + "3", "a.yaml").sets, Contains("zero_optimization.stage=0"));
  EXPECT_EQ(fate_of(import_config(head + "HYBRID_SHARD", "a.yaml"), "fsdp_config.fsdp_sharding_strategy"),
            KeyFate::unsupported);
}

/// Agents over one model with adapters, and a network of workers: programs whose users come here.
TEST(ImportConfig, TakesOverWhatAScriptHas) {
  const ImportedConfig agents = import_config(
      "learning_rate: 3e-5\nnum_epochs: 3\nbatch_size: 2\ngradient_accumulation_steps: 8\nadam_beta1: 0.8\n"
      "adam_beta2: 0.95\nlr_scheduler_type: cosine\nwarmup_ratio: 0.03\nlora_r: 16\nuse_deepspeed: false\n"
      "deepspeed_config_file: null\nmax_grad_norm: 1.0\nmixed_precision: no\noptim: adamw_torch\ngres: gpu:a5000:4\n",
      "train.yaml");
  const ImportedConfig workers = import_config(
      "coordinator:\n  host: 0.0.0.0\n  port: 5555\nnetwork:\n  timeout_seconds: 30\n  compression: true\n"
      "quantization:\n  bits: 8\n  group_size: 64\nmodel:\n  hidden_size: 512\n  num_layers: 4\n",
      "configs.yaml");

  EXPECT_THAT(agents.sets, AllOf(Contains("optimizer.params.lr=3e-05"), Contains("training.epochs=3.0"),
                                 Contains("training.gradient_accumulation_steps=8"), Contains("bf16.enabled=false"),
                                 Contains("optimizer.params.betas=[0.8, 0.95]"), Contains("scheduler.type=\"cosine\""),
                                 Contains("optimizer.type=\"AdamW\""), Contains("slurm.gpus_per_node=4")));
  EXPECT_EQ(fate_of(agents, "lora_r"), KeyFate::unsupported);
  EXPECT_EQ(fate_of(agents, "warmup_ratio"), KeyFate::unsupported);
  EXPECT_EQ(fate_of(workers, "coordinator"), KeyFate::unsupported);
  EXPECT_EQ(fate_of(workers, "quantization"), KeyFate::unsupported);
  EXPECT_THAT(workers.sets, AllOf(Contains("model.width=512"), Contains("model.layers=4")));
}

TEST(ImportConfig, APublishedModelIsNamedWithTheWayToIt) {
  const ScratchDirectory scratch;
  const std::string imported_model = scratch.path("imported"), downloaded = scratch.path("downloaded");
  scratch.write("imported/config.toml", "");
  scratch.write("downloaded/config.json", "{}");

  const ImportedConfig ours = import_config("model_name_or_path: " + imported_model + "\n", "a.yaml");
  const ImportedConfig theirs = import_config("pretrained: " + downloaded + "\n", "a.yaml");
  const ImportedConfig named = import_config("model:\n  name: meta-llama/Llama-2-7b\n", "a.yaml");

  EXPECT_THAT(ours.sets, Contains("model.path=\"" + imported_model + "\""));
  EXPECT_THAT(theirs.sets, IsEmpty());
  EXPECT_THAT(theirs.keys.front().text, HasSubstr("`ferula checkpoint import " + downloaded + " OUT`"));
  EXPECT_THAT(named.sets, IsEmpty());
  EXPECT_EQ(fate_of(named, "model.name"), KeyFate::unsupported);
  EXPECT_THAT(named.keys.front().text, HasSubstr("`hf download meta-llama/Llama-2-7b --local-dir DIR`"));
}

TEST(ImportConfig, AScriptsSamplesFitIntoTheContext) {
  const auto sets = [](const std::string& text) { return import_config(text, "a.yaml").sets; };

  EXPECT_THAT(sets("max_seq_length: 512\n"), Contains("model.context=512"));
  EXPECT_THAT(sets("max_seq_length: 512\nmax_position_embeddings: 1024\n"), Contains("model.context=1024"));
  EXPECT_THAT(sets("max_seq_length: 64\n"), Not(Contains(HasSubstr("model.context"))));
}

TEST(ImportConfig, AnExperimentIsAFeatureToComeAndNoBatch) {
  const ImportedConfig imported = import_config("experiment:\n  batch_size: 4\n  repeat: 1\n", "exp_config.yaml");

  EXPECT_EQ(fate_of(imported, "experiment"), KeyFate::unsupported);
  EXPECT_THAT(imported.sets, IsEmpty());
}

TEST(ImportConfig, AnswersEveryKeyOfAccelerateAndTrainer) {
  const auto expect_answer = [](const std::string& key) {
    EXPECT_NE(fate_of(import_config(key + ": null", "a.yaml"), key), KeyFate::unknown) << key;
  };

  for (const char* const key : kAccelerate) expect_answer(key);
  for (const char* const key : kHuggingFace) expect_answer(key);
}

TEST(ImportConfig, ATypeThatIsTheOnlyOneHereChangesNothing) {
  const ImportedConfig imported = import_config(
      R"({"data_types": {"grad_accum_dtype": "fp32"}, "communication_data_type": "bf16", "steps_per_print": 1})",
      "ds.json");

  EXPECT_EQ(fate_of(imported, "data_types"), KeyFate::off);
  EXPECT_EQ(fate_of(imported, "communication_data_type"), KeyFate::unsupported);
}

TEST(ImportConfig, AnswersEveryKeyOfDeepSpeed) {
  for (const KeysOfSection& section : kDeepSpeed)
    for (const std::string& key : section.keys) {
      std::string text = "{\"" + key + "\": null}", path = key;
      if (!section.section.empty()) path = section.section + "." + key;
      for (std::string above = section.section; !above.empty();) {
        const std::size_t dot = above.rfind('.');
        text = "{\"" + above.substr(dot == std::string::npos ? 0 : dot + 1) + "\": " + text + "}";
        above = dot == std::string::npos ? "" : above.substr(0, dot);
      }

      for (const ImportedKey& each : import_config(text, "ds.json").keys)
        EXPECT_NE(each.fate, KeyFate::unknown) << path << ": " << each.theirs;
    }
}

TEST(ImportConfig, WhatItSetsIsAConfigurationWithoutMistakes) {
  for (const std::string& text : {kDeepSpeedFile, kAccelerateFile, std::string("{\"train_batch_size\": 6}")}) {
    const ImportedConfig imported = import_config(text, "file");
    const ResolveFacts facts{.data_parallel_ranks = imported.ranks};

    const std::string toml = new_config_toml("small", imported.sets, facts);

    EXPECT_NO_THROW(resolve_config(draft_config_text(toml, "my.toml", {}, {}), facts));
  }
}

TEST(ImportConfig, OneSettingUnderTwoNamesIsNotTakenTwice) {
  const ImportedConfig imported = import_config("learning_rate: 1e-4\nmax_lr: 2e-4\n", "train.yaml");

  EXPECT_THAT(imported.sets, Contains("optimizer.params.lr=0.0001"));
  EXPECT_EQ(fate_of(imported, "max_lr"), KeyFate::unsupported);
}

TEST(ImportConfig, ParametersOfAnotherTypeAreNotTaken) {
  const ImportedConfig imported = import_config(
      R"({"optimizer": {"type": "SGD", "params": {"lr": 1, "betas": [0.9, 0.9]}},
          "scheduler": {"type": "OneCycle", "params": {"cycle_min_lr": 1, "warmup_num_steps": 5}}})",
      "ds.json");

  EXPECT_EQ(fate_of(imported, "optimizer.params.betas"), KeyFate::meaningless);
  EXPECT_EQ(fate_of(imported, "scheduler.params.warmup_num_steps"), KeyFate::unsupported);
}

TEST(ImportConfig, EveryValueOfAWrongTypeIsNamedWithItsPlace) {
  EXPECT_THAT(mistakes_in("{\"train_batch_size\": \"many\",\n \"zero_optimization\": {\"stage\": 4}}"),
              AllOf(HasSubstr("file:1:22: 'train_batch_size': expected \"auto\" or an integer from 1"),
                    HasSubstr("file:2:33: 'zero_optimization.stage': expected an integer from 0 to 3")));
}

struct Broken {
  std::string text;
  std::string message;
};

const Broken kBroken[] = {
    {"{\"a\": 1,\n \"b\" 2}", "file:2:6: not valid JSON"},
    {"{\"a\": {\"b\": 1}", "file:1:15: not valid JSON: incomplete JSON"},
    {"{\"a\": 1} x", "file:1:10: not valid JSON: extra data"},
    {"{\"a\": 1,\n \"a\": 2}", "file:2:2: the key 'a' is given twice, first at file:1:2"},
    {"[1, 2]", "expected keys with values, found a list"},
    {"just words", "expected keys with values, found the string"},
    {"a: [1, 2\nb: 3", "not valid YAML"},
    {"a: 1\n---\nb: 2\n", "expected one YAML document, found 2"},
    {"a: \xff", "file:1:4: expected text in UTF-8, found a byte that is not UTF-8"},
    {std::string("a: \0", 4), "expected text, found a zero byte"},
    {std::string(2'000'000, ' '), "expected at most 1 MiB of text"},
    {"? [a]\n: 1\n", "expected a word as a key"},
};

TEST(ImportConfig, ABrokenFileIsRefusedWithThePlace) {
  for (const Broken& each : kBroken)
    EXPECT_THAT(mistakes_in(each.text), HasSubstr(each.message)) << each.text.substr(0, 40);
}

TEST(ImportConfig, AFileThatUnfoldsIntoMillionsIsRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) bomb += "*a" + std::to_string(i - 1) + (k < 8 ? ", " : "]\n");
  }
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "{\"a\":";

  EXPECT_THAT(mistakes_in(bomb), HasSubstr("more than 20,000 values"));
  EXPECT_THAT(mistakes_in(deep), HasSubstr("not valid JSON"));
  EXPECT_THAT(mistakes_in("a: " + std::string(5000, '[')), HasSubstr("not valid YAML"));
}

}  // namespace
}  // namespace ferula
