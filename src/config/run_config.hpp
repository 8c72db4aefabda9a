// The configuration of a run as plain structs with their defaults. What each member means, its unit and its limits
// stand in settings.cpp, the one table from which parser, validator, reference and templates come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ferula {

/// A value, or "auto" until it is resolved.
template <class T>
struct Auto {
  std::optional<T> value;
  Auto() = default;
  Auto(T given) : value(std::move(given)) {}  // NOLINT: a value is an Auto
  bool is_auto() const { return !value.has_value(); }
  const T& get() const { return value.value(); }
  friend bool operator==(const Auto&, const Auto&) = default;
};

struct RunConfig {
  std::string name = "run";
  std::string output_dir = "runs";
  std::int64_t seed = 1234;
  std::string device = "auto";
  bool share_gpu = false;
  bool deterministic = false;

  friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

struct ModelConfig {
  std::string path;  // of an imported model or a run that gives the shape and the first values; empty: none
  std::string family = "gpt2";
  std::int64_t layers = 6;
  std::int64_t width = 256;
  std::int64_t heads = 8;
  Auto<std::int64_t> kv_heads;
  Auto<std::int64_t> ffn_width;
  std::int64_t context = 256;
  Auto<std::int64_t> vocabulary;
  Auto<std::int64_t> head_dim;
  Auto<bool> tied_embeddings;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  double dropout = 0.0;
  double init_std = 0.02;

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct DataConfig {
  std::vector<std::string> text;
  std::string tokens;
  std::string tokenizer = "bytes";
  std::int64_t sequence_length = 128;
  double validation_fraction = 0.05;

  friend bool operator==(const DataConfig&, const DataConfig&) = default;
};

struct TrainingConfig {
  Auto<std::int64_t> steps;
  Auto<double> epochs;
  Auto<std::int64_t> train_batch_size;
  Auto<std::int64_t> train_micro_batch_size_per_gpu;
  Auto<std::int64_t> gradient_accumulation_steps;
  double gradient_clipping = 1.0;
  std::int64_t evaluate_every = 0;
  std::vector<std::string> frozen;  // globs of tensor names that are not trained

  friend bool operator==(const TrainingConfig&, const TrainingConfig&) = default;
};

struct OptimizerParams {
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0.0;
  double momentum = 0.0;
  bool nesterov = false;
  bool adam_w_mode = true;
  bool bias_correction = true;

  friend bool operator==(const OptimizerParams&, const OptimizerParams&) = default;
};

struct OptimizerConfig {
  std::string type = "AdamW";
  OptimizerParams params;
  std::vector<std::string> no_decay = {"*.bias", "*norm*"};

  friend bool operator==(const OptimizerConfig&, const OptimizerConfig&) = default;
};

struct SchedulerParams {
  double warmup_min_lr = 0.0;
  Auto<double> warmup_max_lr;
  std::int64_t warmup_num_steps = 1000;
  std::string warmup_type = "log";
  Auto<std::int64_t> total_num_steps;
  double warmup_min_ratio = 0.0;
  double cos_min_ratio = 1e-4;

  friend bool operator==(const SchedulerParams&, const SchedulerParams&) = default;
};

struct SchedulerConfig {
  std::string type = "constant";
  SchedulerParams params;

  friend bool operator==(const SchedulerConfig&, const SchedulerConfig&) = default;
};

struct Bf16Config {
  Auto<bool> enabled = false;

  friend bool operator==(const Bf16Config&, const Bf16Config&) = default;
};

struct OffloadOptimizerConfig {
  std::string device = "none";
  bool pin_memory = true;

  friend bool operator==(const OffloadOptimizerConfig&, const OffloadOptimizerConfig&) = default;
};

struct ZeroConfig {
  std::int64_t stage = 0;
  std::string shard_size = "all";
  Auto<bool> overlap_comm;
  bool reduce_once = false;
  Auto<std::int64_t> stage3_prefetch_bucket_size = 50'000'000;
  Auto<std::int64_t> stage3_param_persistence_threshold = 100'000;
  OffloadOptimizerConfig offload_optimizer;

  friend bool operator==(const ZeroConfig&, const ZeroConfig&) = default;
};

struct CheckpointConfig {
  std::int64_t every_steps = 0;
  std::int64_t keep_last = 2;
  std::int64_t keep_every = 0;

  friend bool operator==(const CheckpointConfig&, const CheckpointConfig&) = default;
};

struct CommsLoggerConfig {
  bool enabled = false;
  bool verbose = false;
  std::vector<std::string> prof_ops;  // names of collectives; none: all

  friend bool operator==(const CommsLoggerConfig&, const CommsLoggerConfig&) = default;
};

struct DebugConfig {
  bool check_collectives = false;
  double collective_timeout_s = 600.0;

  friend bool operator==(const DebugConfig&, const DebugConfig&) = default;
};

struct SlurmConfig {
  std::string profile;
  std::string partition;
  std::string qos;
  std::string account;
  std::int64_t nodes = 1;
  Auto<std::int64_t> ntasks_per_node;
  Auto<std::int64_t> gpus_per_node;
  Auto<std::int64_t> cpus_per_task;
  std::string mem;
  std::string time;
  std::int64_t signal_before_s = 300;
  bool requeue = true;
  std::vector<std::string> modules;
  std::vector<std::string> setup;
  std::vector<std::string> options;
  std::string mpi = "pmix";

  friend bool operator==(const SlurmConfig&, const SlurmConfig&) = default;
};

struct Config {
  RunConfig run;
  ModelConfig model;
  DataConfig data;
  TrainingConfig training;
  OptimizerConfig optimizer;
  SchedulerConfig scheduler;
  Bf16Config bf16;
  ZeroConfig zero_optimization;
  CheckpointConfig checkpoint;
  CommsLoggerConfig comms_logger;
  SlurmConfig slurm;
  DebugConfig debug;

  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace ferula
