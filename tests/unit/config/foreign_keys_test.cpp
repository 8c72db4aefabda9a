// Every key that a user of DeepSpeed, Hugging Face's Trainer or accelerate may bring is supported, or answered with its
// place, its name here, the feature that does not exist yet, or the reason why it has no meaning. None is just unknown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "config/foreign_names.hpp"
#include "config/setting.hpp"
#include "config_fixture.hpp"

namespace ferula {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

struct KeysOfSection {
  std::string section;  // empty: the top level
  std::vector<std::string> keys;
};

/// From deepspeed/runtime/constants.py, config.py, zero/config.py and the documentation of its configuration.
const KeysOfSection kDeepSpeed[] = {
    {"",
     {"train_batch_size",
      "train_micro_batch_size_per_gpu",
      "gradient_accumulation_steps",
      "managed_gradient_accumulation",
      "communication_data_type",
      "gradient_allreduce_op",
      "prescale_gradients",
      "gradient_predivide_factor",
      "sparse_gradients",
      "fp32_allreduce",
      "fp16",
      "bfloat16",
      "amp",
      "torch_autocast",
      "data_types",
      "gradient_clipping",
      "zero_allow_untested_optimizer",
      "zero_force_ds_cpu_optimizer",
      "aio",
      "tensor_parallel",
      "hybrid_engine",
      "expert_parallel",
      "steps_per_print",
      "wall_clock_breakdown",
      "dump_state",
      "memory_breakdown",
      "autotuning",
      "flops_profiler",
      "activation_checkpointing",
      "sparse_attention",
      "data_efficiency",
      "curriculum_learning",
      "tensorboard",
      "wandb",
      "comet",
      "csv_monitor",
      "elasticity",
      "comms_logger.verbose",
      "compression_training",
      "weight_quantization",
      "nebula",
      "pipeline",
      "dataloader_drop_last",
      "disable_allgather",
      "seq_parallel_communication_data_type",
      "seq_parallel_comm_data_type",
      "eigenvalue",
      "progressive_layer_drop",
      "use_data_before_expert_parallelism",
      "timers",
      "compile",
      "graph_harvesting",
      "vocabulary_size",
      "local_rank"}},
    {"zero_optimization",
     {"contiguous_gradients",
      "reduce_scatter",
      "reduce_bucket_size",
      "use_multi_rank_bucket_allreduce",
      "allgather_partitions",
      "allgather_bucket_size",
      "load_from_fp32_weights",
      "elastic_checkpoint",
      "offload_param",
      "offload_optimizer",
      "super_offload",
      "zenflow",
      "sub_group_size",
      "cpu_offload_param",
      "cpu_offload_use_pin_memory",
      "cpu_offload",
      "model_persistence_threshold",
      "stage3_model_persistence_threshold",
      "max_live_parameters",
      "stage3_max_live_parameters",
      "max_reuse_distance",
      "stage3_max_reuse_distance",
      "gather_16bit_weights_on_model_save",
      "stage3_gather_16bit_weights_on_model_save",
      "stage3_gather_fp16_weights_on_model_save",
      "module_granularity_threshold",
      "stage3_module_granularity_threshold",
      "use_all_reduce_for_fetch_params",
      "stage3_use_all_reduce_for_fetch_params",
      "allgather_sequential",
      "stage3_allgather_sequential",
      "partition_stream_chunk_size",
      "stage3_partition_stream_chunk_size",
      "ignore_unused_parameters",
      "legacy_stage1",
      "round_robin_gradients",
      "zero_hpz_partition_size",
      "zero_quantized_weights",
      "zero_quantized_nontrainable_weights",
      "zero_quantized_gradients",
      "zeropp_loco_param",
      "mics_shard_size",
      "mics_hierarchical_params_gather",
      "memory_efficient_linear",
      "pipeline_loading_checkpoint",
      "override_module_apply",
      "log_trace_cache_warnings",
      "enable_sanity_checks",
      "save_muon_momentum_buffer_in_memory",
      "leaf_module",
      "fast_sharding_for_leaf_module",
      "prefetch_bucket_size",
      "param_persistence_threshold"}},
    {"optimizer", {"legacy_fusion"}},
    {"optimizer.params",
     {"torch_adam", "amsgrad", "max_grad_norm", "freeze_step", "var_freeze_step", "comm_backend_name", "max_coeff",
      "min_coeff", "fused", "foreach", "capturable", "maximize", "differentiable", "dampening"}},
    {"scheduler.params",
     {"lr_range_test_min_lr", "lr_range_test_step_size", "lr_range_test_step_rate", "lr_range_test_staircase",
      "cycle_min_lr", "cycle_max_lr", "cycle_first_step_size", "cycle_second_step_size", "cycle_first_stair_count",
      "cycle_second_stair_count", "cycle_momentum", "cycle_min_mom", "cycle_max_mom", "decay_step_size",
      "decay_lr_rate", "decay_mom_rate", "last_batch_iteration"}},
    {"bf16",
     {"immediate_grad_update", "check_grad_overflow", "bf16_master_weights_and_grads", "bf16_optimizer_states",
      "loss_scale"}},
    {"checkpoint", {"tag_validation", "load_universal", "use_node_local_storage", "parallel_write", "writer"}},
    {"training",
     {"fp16", "loss_scale", "initial_scale_power", "loss_scale_window", "hysteresis", "min_loss_scale",
      "offload_optimizer", "offload_param", "wandb", "tensorboard", "pipeline", "tensor_parallel", "autotp_size",
      "reduce_bucket_size", "grad_accum_dtype"}},
};

/// Of transformers.TrainingArguments and the configurations of models, as they stand in a file or under [training].
const char* const kHuggingFace[] = {"output_dir",
                                    "run_name",
                                    "per_device_train_batch_size",
                                    "per_device_eval_batch_size",
                                    "learning_rate",
                                    "weight_decay",
                                    "adam_beta1",
                                    "adam_beta2",
                                    "adam_epsilon",
                                    "max_grad_norm",
                                    "num_train_epochs",
                                    "max_steps",
                                    "lr_scheduler_type",
                                    "warmup_ratio",
                                    "warmup_steps",
                                    "logging_dir",
                                    "logging_steps",
                                    "logging_strategy",
                                    "save_strategy",
                                    "save_steps",
                                    "save_total_limit",
                                    "eval_strategy",
                                    "evaluation_strategy",
                                    "eval_steps",
                                    "data_seed",
                                    "bf16",
                                    "fp16",
                                    "fp16_opt_level",
                                    "optim",
                                    "gradient_checkpointing",
                                    "torch_compile",
                                    "report_to",
                                    "deepspeed",
                                    "fsdp",
                                    "fsdp_config",
                                    "push_to_hub",
                                    "resume_from_checkpoint",
                                    "dataloader_num_workers",
                                    "remove_unused_columns",
                                    "load_best_model_at_end",
                                    "label_smoothing_factor",
                                    "full_determinism",
                                    "ddp_backend",
                                    "model_name_or_path",
                                    "torch_dtype",
                                    "block_size",
                                    "hidden_size",
                                    "num_hidden_layers",
                                    "num_attention_heads",
                                    "num_key_value_heads",
                                    "intermediate_size",
                                    "max_position_embeddings",
                                    "vocab_size",
                                    "tie_word_embeddings",
                                    "rms_norm_eps",
                                    "layer_norm_epsilon",
                                    "initializer_range",
                                    "attn_pdrop",
                                    "hidden_act",
                                    "n_layer",
                                    "n_embd",
                                    "n_head",
                                    "n_positions",
                                    "lora_alpha",
                                    "load_in_8bit"};

/// Of accelerate's configuration files.
const char* const kAccelerate[] = {"compute_environment",
                                   "distributed_type",
                                   "mixed_precision",
                                   "use_cpu",
                                   "num_processes",
                                   "num_machines",
                                   "machine_rank",
                                   "gpu_ids",
                                   "main_process_ip",
                                   "main_process_port",
                                   "main_training_function",
                                   "rdzv_backend",
                                   "same_network",
                                   "enable_cpu_affinity",
                                   "downcast_bf16",
                                   "deepspeed_config",
                                   "deepspeed_config_file",
                                   "fsdp_config",
                                   "tp_config",
                                   "megatron_lm_config",
                                   "ipex_config",
                                   "mpirun_config",
                                   "fp8_config",
                                   "dynamo_config",
                                   "zero_stage",
                                   "zero3_init_flag",
                                   "zero3_save_16bit_model",
                                   "offload_optimizer_device",
                                   "offload_param_device"};

void expect_answer(const std::string& section, const std::string& key) {
  const std::string path = section.empty() ? key : section + "." + key;
  const auto mistakes =
      section.empty() ? mistakes_of(path + " = 1\n" + kSmallest) : mistakes_of(kSmallest, {path + "=1"});

  ASSERT_EQ(mistakes.size(), 1u) << path << "\n" << shown(mistakes);
  EXPECT_THAT(mistakes[0].where.label(), HasSubstr(section.empty() ? "test.toml:1:" : "--set"));
  EXPECT_FALSE(mistakes[0].fix.empty()) << path;
  EXPECT_THAT(shown(mistakes),
              AnyOf(HasSubstr("stands under ["), HasSubstr("' is called "),
                    HasSubstr("feature that does not exist yet: "), HasSubstr("has no meaning here because "),
                    HasSubstr("please switch to using"), HasSubstr("write [bf16] on a line of its own")))
      << path;
}

TEST(ForeignKeys, EveryKeyOfDeepSpeedIsAnswered) {
  for (const KeysOfSection& each : kDeepSpeed)
    for (const std::string& key : each.keys) expect_answer(each.section, key);
}

TEST(ForeignKeys, EveryKeyOfHuggingFaceAndAccelerateIsAnswered) {
  for (const char* key : kHuggingFace) expect_answer("", key);
  for (const char* key : kAccelerate) expect_answer("", key);
}

struct Answer {
  std::string set;
  std::string message;
};

const Answer kAnswers[] = {
    {"fp16={enabled=true}", "does not exist yet: fp16 with loss scaling"},
    {"training.loss_scale=0", "does not exist yet: fp16 with loss scaling"},
    {"zero_optimization.offload_optimizer={device=\"cpu\"}", "does not exist yet: offload of the optimizer's state"},
    {"training.offload_param=true", "does not exist yet: offload of parameters"},
    {"wandb={enabled=true}", "does not exist yet: monitoring services"},
    {"tensorboard={enabled=true}", "does not exist yet: monitoring services"},
    {"pipeline={stages=2}", "does not exist yet: pipeline parallelism"},
    {"tensor_parallel={autotp_size=2}", "does not exist yet: tensor parallelism"},
    {"slurm.gres=gpu", "'slurm.gres' is called slurm.gpus_per_node here"},
    {"training.learning_rate=1e-3", "'training.learning_rate' is called optimizer.params.lr here"},
    {"zero_optimization.reduce_bucket_size=5e8", "has no meaning here because gradients are reduced a unit at a time"},
    {"model.hidden_size=64", "'model.hidden_size' is called model.width here"},
};

TEST(ForeignKeys, TheAnswerNamesFeatureReasonOrName) {
  for (const Answer& each : kAnswers) {
    const auto mistakes = mistakes_of(kSmallest, {each.set});

    ASSERT_EQ(mistakes.size(), 1u) << each.set << "\n" << shown(mistakes);
    EXPECT_THAT(mistakes[0].message, HasSubstr(each.message));
  }
}

TEST(ForeignKeys, ARenamedKeyIsNotReportedAsMissingToo) {
  const auto mistakes =
      mistakes_of("[data]\ndataset = \"a.txt\"\n[training]\nmax_steps = 5\nper_device_train_batch_size = 4\n");

  ASSERT_EQ(mistakes.size(), 3u) << shown(mistakes);
  EXPECT_EQ(mistakes[2].fix, "write `train_micro_batch_size_per_gpu` under [training]");
}

TEST(ForeignKeys, NoneIsANameOfOurs) {
  Config config;
  std::set<std::string> ours;
  for (const Setting& setting : settings_of(config)) ours.insert(setting.name());
  for (const ForeignName& foreign : foreign_names()) {
    EXPECT_FALSE(ours.contains(foreign.refused.key)) << foreign.refused.key;
    for (const std::string& key : foreign.ours) EXPECT_TRUE(load(kSmallest).sources.contains(key)) << key;
  }
}

/// A configuration with [compile], which nothing reads yet: legal without it, refused as a whole with it.
TEST(ForeignKeys, ASectionOfAFeatureToComeIsTheOnlyMistake) {
  const std::string text = read_text(source_root() / "configs" / "quickstart.toml");

  EXPECT_TRUE(mistakes_of(text).empty());
  const auto mistakes = mistakes_of(text + "\n[compile]\nbackend = \"inductor\"\n");

  ASSERT_EQ(mistakes.size(), 1u) << shown(mistakes);
  EXPECT_EQ(mistakes[0].message, "'compile' belongs to a feature that does not exist yet: compilation of the model");
  EXPECT_THAT(mistakes[0].where.text, HasSubstr("[compile]"));
}

}  // namespace
}  // namespace ferula
