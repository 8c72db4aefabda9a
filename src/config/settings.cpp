// The table of all settings: each member of `Config` is described once.
#include <utility>

#include "config/setting.hpp"

namespace ferula {
namespace {

constexpr double kMostSteps = 1e12;
constexpr double kMostInBatch = 1e6;   // products of three of them stay far below 2^63
constexpr double kMostSize = 1 << 24;  // far above any known model, far below an overflow of products

Limits positive_up_to(double most) {
  Limits limits = above(0);
  limits.most = most;
  return limits;
}

Limits optional_text() {
  Limits limits;
  limits.may_be_empty = true;
  return limits;
}

/// Collects the settings of one section.
class SectionTable {
 public:
  SectionTable(std::vector<Setting>& settings, std::string section)
      : settings_(settings), section_(std::move(section)) {}

  template <class T>
  Setting& add(const std::string& name, T& member, Limits limits, std::string help) {
    settings_.push_back({.key = section_ + "." + name,
                         .target = &member,
                         .limits = std::move(limits),
                         .help = std::move(help),
                         .unit = "",
                         .auto_rule = "",
                         .types = {}});
    return settings_.back();
  }

 private:
  std::vector<Setting>& settings_;
  std::string section_;
};

constexpr auto kChanges = ResumeEffect::changes_training;
constexpr auto kIncompatible = ResumeEffect::incompatible;

void describe(RunConfig& run, SectionTable table) {
  table.add("name", run.name, {}, "Name of the run; its directory is output_dir/name.");
  table.add("output_dir", run.output_dir, {}, "Directory of all runs.");
  table.add("seed", run.seed, at_least(0), "Seed of initialisation, order of samples, dropout and sampling.")
      .on_resume(kChanges);
  table
      .add("device", run.device, one_of({"auto", "cpu", "cuda"}),
           "Where the ranks compute: on GPUs, one a rank (cuda), or on the processors (cpu).")
      .when_auto("cuda where the process sees a GPU, else cpu");
  table.add("share_gpu", run.share_gpu, {},
            "Several ranks may compute on one GPU: for tests, since they take its memory and time from each other.");
  table.add("deterministic", run.deterministic, {},
            "The same layout gives the same bits every time; on the CPU that always holds.");
}

void describe(ModelConfig& model, SectionTable table) {
  table.add("path", model.path, optional_text(),
            "A model of `ferula checkpoint import`, a run or a checkpoint: training starts from its values, and its "
            "shape and tokenizer need not be given.");
  table
      .add("family", model.family, one_of({"gpt2", "llama"}, {"mistral", "qwen2", "gemma", "phi", "gpt_neox", "opt"}),
           "Architecture: gpt2 (learned positions, LayerNorm, GELU, biases) or llama (RMSNorm, rotary, SwiGLU).")
      .on_resume(kIncompatible);
  table.add("layers", model.layers, between(1, 10'000), "Transformer blocks.").on_resume(kIncompatible);
  table.add("width", model.width, between(2, kMostSize), "Size of the residual stream.").on_resume(kIncompatible);
  table.add("heads", model.heads, between(1, 65'536), "Attention heads; they divide width unless head_dim is given.")
      .on_resume(kIncompatible);
  table.add("kv_heads", model.kv_heads, between(1, 65'536), "Key and value heads; they divide heads.")
      .when_auto("heads")
      .on_resume(kIncompatible);
  table.add("ffn_width", model.ffn_width, between(1, kMostSize), "Size of the hidden layer of a feed-forward block.")
      .when_auto("4 · width for gpt2; 8/3 · width, rounded up to a multiple of 64, for llama")
      .on_resume(kIncompatible);
  table.add("context", model.context, between(1, kMostSize), "Longest sequence that the model can read.")
      .in("tokens")
      .on_resume(kIncompatible);
  table
      .add("vocabulary", model.vocabulary, between(1, kMostSize),
           "Rows of the embedding; more than the tokenizer has are padding.")
      .in("tokens")
      .when_auto("the tokenizer's")
      .on_resume(kIncompatible);
  table.add("head_dim", model.head_dim, between(2, 256), "Size of one head, an even number.")
      .when_auto("width / heads")
      .on_resume(kIncompatible);
  table.add("tied_embeddings", model.tied_embeddings, {}, "The output layer uses the embedding's weights.")
      .when_auto("true for gpt2, false for llama")
      .on_resume(kIncompatible);
  table.add("norm_eps", model.norm_eps, above(0), "Added to the variance in a norm.").on_resume(kChanges);
  table.add("rope_theta", model.rope_theta, above(0), "Base of the rotary positions (llama).").on_resume(kChanges);
  table.add("dropout", model.dropout, from_below(0, 1), "Share of activations that training sets to zero.")
      .on_resume(kChanges);
  table.add("init_std", model.init_std, above(0), "Standard deviation of the initial weights.");
}

void describe(DataConfig& data, SectionTable table) {
  table.add("text", data.text, {}, "Text files, directories and globs; either these or tokens.").on_resume(kChanges);
  table.add("tokens", data.tokens, optional_text(), "A token file written by `ferula tokenize`; either this or text.")
      .on_resume(kChanges);
  table
      .add("tokenizer", data.tokenizer, one_of({"bytes", "ids"}, {"tokenizer.json", "tokenizer.model"}),
           "How text becomes tokens: each byte is one (bytes), or it holds their numbers, made elsewhere (ids).")
      .on_resume(kIncompatible);
  table.add("sequence_length", data.sequence_length, between(1, kMostSize), "Length of a training sample.")
      .in("tokens")
      .on_resume(kChanges);
  table
      .add("validation_fraction", data.validation_fraction, from_below(0, 1),
           "Share of the text that is kept for validation.")
      .on_resume(kChanges);
}

void describe(TrainingConfig& training, SectionTable table) {
  table.add("steps", training.steps, between(1, kMostSteps), "Optimizer steps; either these or epochs.")
      .in("steps")
      .when_auto("from epochs: whole steps that read so many samples, rounded up");
  table.add("epochs", training.epochs, positive_up_to(1e6), "Passes over the training text; either these or steps.")
      .in("epochs")
      .when_auto("from steps");
  table
      .add("train_batch_size", training.train_batch_size, between(1, kMostSteps),
           "Samples in one optimizer step, over all ranks.")
      .in("samples")
      .when_auto("micro batch · accumulation steps · data-parallel ranks")
      .on_resume(kChanges);
  table
      .add("train_micro_batch_size_per_gpu", training.train_micro_batch_size_per_gpu, between(1, kMostInBatch),
           "Samples that a rank, on a GPU or not, computes at once.")
      .in("samples")
      .when_auto("train_batch_size / accumulation steps / data-parallel ranks");
  table
      .add("gradient_accumulation_steps", training.gradient_accumulation_steps, between(1, kMostInBatch),
           "Micro batches in one optimizer step.")
      .when_auto("train_batch_size / micro batch / data-parallel ranks; 1 where only one of the two is given");
  table.add("gradient_clipping", training.gradient_clipping, at_least(0), "Largest norm of the gradient; 0: no limit.")
      .on_resume(kChanges);
  table
      .add("evaluate_every", training.evaluate_every, at_least(0), "Steps between validations; 0: only after the last.")
      .in("steps");
  table.add("frozen", training.frozen, {}, "Globs of tensor names that are not trained.").on_resume(kChanges);
}

void describe(OptimizerConfig& optimizer, SectionTable table) {
  table
      .add("type", optimizer.type,
           one_of({"AdamW", "Adam", "SGD", "Lion"},
                  {"Adagrad", "RMSProp", "Lamb", "Muon", "OneBitAdam", "OneBitLamb", "ZeroOneAdam", "Adafactor"}),
           "Update rule. Adam decays weights as AdamW does unless adam_w_mode is false.")
      .on_resume(kIncompatible);
  table.add("no_decay", optimizer.no_decay, {}, "Globs of tensor names without weight decay.").on_resume(kChanges);
}

void describe(OptimizerParams& params, SectionTable table) {
  table.add("lr", params.lr, at_least(0), "Learning rate.").on_resume(kChanges);
  Limits two_shares = from_below(0, 1);
  two_shares.entries = 2;
  table.add("betas", params.betas, two_shares, "Decay of the moments; Lion's default is [0.9, 0.99].")
      .of_types({"AdamW", "Adam", "Lion"})
      .on_resume(kChanges);
  table.add("eps", params.eps, above(0), "Added to the root of the second moment.")
      .of_types({"AdamW", "Adam"})
      .on_resume(kChanges);
  table.add("weight_decay", params.weight_decay, at_least(0), "Weight decay, as a share of lr.").on_resume(kChanges);
  table.add("momentum", params.momentum, from_below(0, 1), "Share of the last update that is kept.")
      .of_types({"SGD"})
      .on_resume(kChanges);
  table.add("nesterov", params.nesterov, {}, "Nesterov's momentum.").of_types({"SGD"}).on_resume(kChanges);
  table.add("adam_w_mode", params.adam_w_mode, {}, "Decoupled weight decay; false adds the decay to the gradient.")
      .of_types({"Adam"})
      .on_resume(kChanges);
  table.add("bias_correction", params.bias_correction, {}, "Corrects the moments for their start at zero.")
      .of_types({"AdamW", "Adam"})
      .on_resume(kChanges);
}

void describe(SchedulerConfig& scheduler, SectionTable table) {
  table
      .add("type", scheduler.type,
           one_of({"constant", "linear", "cosine", "WarmupLR", "WarmupDecayLR", "WarmupCosineLR"},
                  {"LRRangeTest", "OneCycle", "WSD", "inverse_sqrt", "polynomial"}),
           "How the learning rate goes over the steps; linear and cosine rise linearly, then fall.")
      .on_resume(kChanges);
}

void describe(SchedulerParams& params, SectionTable table) {
  table.add("warmup_min_lr", params.warmup_min_lr, at_least(0), "Learning rate at the start of the warm-up.")
      .of_types({"WarmupLR", "WarmupDecayLR"})
      .on_resume(kChanges);
  table.add("warmup_max_lr", params.warmup_max_lr, at_least(0), "Learning rate at the end of the warm-up.")
      .when_auto("the optimizer's lr; DeepSpeed's WarmupDecayLR takes 0.001")
      .of_types({"WarmupLR", "WarmupDecayLR"})
      .on_resume(kChanges);
  table.add("warmup_num_steps", params.warmup_num_steps, between(1, kMostSteps), "Length of the warm-up.")
      .in("steps")
      .of_types({"WarmupLR", "WarmupDecayLR", "WarmupCosineLR", "linear", "cosine"})
      .on_resume(kChanges);
  table.add("warmup_type", params.warmup_type, one_of({"log", "linear"}), "How the learning rate rises.")
      .of_types({"WarmupLR", "WarmupDecayLR", "WarmupCosineLR"})
      .on_resume(kChanges);
  table.add("total_num_steps", params.total_num_steps, between(1, kMostSteps), "Step at which the decay ends.")
      .in("steps")
      .when_auto("training.steps")
      .of_types({"linear", "cosine", "WarmupDecayLR", "WarmupCosineLR"})
      .on_resume(kChanges);
  table.add("warmup_min_ratio", params.warmup_min_ratio, between(0, 1), "Start of the warm-up, as a share of lr.")
      .of_types({"WarmupCosineLR"})
      .on_resume(kChanges);
  table.add("cos_min_ratio", params.cos_min_ratio, between(0, 1), "End of the decay, as a share of lr.")
      .of_types({"linear", "cosine", "WarmupCosineLR"})
      .on_resume(kChanges);
}

void describe(Bf16Config& bf16, SectionTable table) {
  table.add("enabled", bf16.enabled, {}, "Weights and activations in bfloat16, master weights and sums in f32.")
      .when_auto("true where the device computes bf16 natively")
      .on_resume(kIncompatible);
}

void describe(ZeroConfig& zero, SectionTable table) {
  table.add("stage", zero.stage, between(0, 3),
            "What is sharded: 0 nothing, 1 optimizer state, 2 gradients too, 3 parameters too.");
  Limits group = one_of({"all"});
  group.integer_or_choice = true;
  table
      .add("shard_size", zero.shard_size, group,
           "Ranks that share one copy of the state: all, or a divisor of the data-parallel ranks (hybrid sharding).")
      .in("ranks");
  table.add("overlap_comm", zero.overlap_comm, {}, "Communicates while it computes.").when_auto("true at stage 3");
  table.add(
      "reduce_once", zero.reduce_once, {},
      "Over accumulated micro batches: keeps gradients whole, as at stage 1, and sums them over ranks once a step.");
  table
      .add("stage3_prefetch_bucket_size", zero.stage3_prefetch_bucket_size, at_least(0),
           "Parameters that may be gathered ahead of their use.")
      .in("elements")
      .when_auto("0.9 · width², as in Hugging Face's Trainer");
  table
      .add("stage3_param_persistence_threshold", zero.stage3_param_persistence_threshold, at_least(0),
           "Tensors up to this size stay whole on each rank.")
      .in("elements")
      .when_auto("10 · width, as in Hugging Face's Trainer");
}

void describe(OffloadOptimizerConfig& offload, SectionTable table) {
  table.add(
      "device", offload.device, one_of({"none", "cpu"}, {"nvme"}),
      "Where the optimizer's state lives and is updated: none, beside the parameters; cpu, in the host's memory by "
      "its processors, at every stage.");
  table.add("pin_memory", offload.pin_memory, {},
            "The memory that gradients and values pass through is page-locked, so that copies run beside the update.");
}

void describe(CheckpointConfig& checkpoint, SectionTable table) {
  table.add("every_steps", checkpoint.every_steps, at_least(0), "Steps between checkpoints; 0: only at the end.")
      .in("steps");
  table.add("keep_last", checkpoint.keep_last, at_least(1), "Newest checkpoints that are kept.");
  table
      .add("keep_every", checkpoint.keep_every, at_least(0),
           "Checkpoints whose step is a multiple of this are kept for good; 0: none.")
      .in("steps");
}

void describe(CommsLoggerConfig& comms, SectionTable table) {
  table.add(
      "enabled", comms.enabled, {},
      "The account at the end lists every collective by size: calls, time, stragglers, bandwidths; comms.csv those of "
      "each rank.");
  table.add("verbose", comms.verbose, {},
            "With enabled: rank 0 also writes a line for each collective as it ends, the first 1000 of a run.");
  table.add("prof_ops", comms.prof_ops,
            one_of({"all_reduce", "all_gather", "reduce_scatter", "broadcast", "point_to_point"}),
            "The collectives that are listed; an empty list lists all.");
}

void describe(SlurmConfig& slurm, SectionTable table) {
  Limits word;
  word.may_be_empty = true;
  table.add("profile", slurm.profile, word,
            "The cluster: a profile that comes with the program (prometheus) or the path of one.");
  table.add("partition", slurm.partition, word, "Where the job runs; not given: the profile's first.");
  table.add("qos", slurm.qos, word, "Quality of service, with its limits; not given: the partition's first.");
  table.add("account", slurm.account, word, "Who pays; not given: your default account.");
  table.add("nodes", slurm.nodes, between(1, 65'536), "Nodes of the job.").in("nodes");
  table.add("ntasks_per_node", slurm.ntasks_per_node, between(1, 4096), "Ranks on a node.")
      .in("ranks")
      .when_auto("gpus_per_node, or 1 without GPUs");
  table.add("gpus_per_node", slurm.gpus_per_node, between(0, 4096), "GPUs on a node, one for a rank.")
      .in("GPUs")
      .when_auto("all of a node that the QOS allows; 0 where run.device is cpu or the profile names none");
  table.add("cpus_per_task", slurm.cpus_per_task, between(1, 4096), "Processors of a rank.")
      .when_auto("the ranks' part of the node that they ask for; 1 without a profile");
  table.add("mem", slurm.mem, word,
            "Memory of a node as SLURM writes it (128G); not given: the job's part of the node.");
  table.add(
      "time", slurm.time, word,
      "Limit of one job as SLURM writes it (1-00:00:00), no limit of the run; not given: the longest of the QOS.");
  table
      .add("signal_before_s", slurm.signal_before_s, between(10, 65'535),
           "The run is asked to save so long before the limit; SLURM may ask up to a minute earlier.")
      .in("seconds");
  table.add("requeue", slurm.requeue, {},
            "A job that reaches its limit, is preempted or loses a node is queued again and goes on.");
  table.add("modules", slurm.modules, {}, "Modules that the job loads, in place of the profile's.");
  table.add("setup", slurm.setup, {}, "Lines of shell that the job runs before it starts the ranks.");
  table.add("options", slurm.options, {},
            "Further options of sbatch, each one word: [\"--exclusive\", \"--constraint=a5000\"].");
  table.add("mpi", slurm.mpi, {}, "How srun starts the ranks: what `srun --mpi=list` names.");
}

void describe(DebugConfig& debug, SectionTable table) {
  table.add("check_collectives", debug.check_collectives, {},
            "Compares each collective on all ranks, and names the two that disagree.");
  table
      .add("collective_timeout_s", debug.collective_timeout_s, above(0),
           "A collective that waits longer ends the job with the names of the ranks. Work of ranks on files has no "
           "limit.")
      .in("seconds");
}

}  // namespace

std::vector<Setting> settings_of(Config& config) {
  std::vector<Setting> settings;
  describe(config.run, {settings, "run"});
  describe(config.model, {settings, "model"});
  describe(config.data, {settings, "data"});
  describe(config.training, {settings, "training"});
  describe(config.optimizer, {settings, "optimizer"});
  describe(config.optimizer.params, {settings, "optimizer.params"});
  describe(config.scheduler, {settings, "scheduler"});
  describe(config.scheduler.params, {settings, "scheduler.params"});
  describe(config.bf16, {settings, "bf16"});
  describe(config.zero_optimization, {settings, "zero_optimization"});
  describe(config.zero_optimization.offload_optimizer, {settings, "zero_optimization.offload_optimizer"});
  describe(config.checkpoint, {settings, "checkpoint"});
  describe(config.comms_logger, {settings, "comms_logger"});
  describe(config.slurm, {settings, "slurm"});
  describe(config.debug, {settings, "debug"});
  return settings;
}

const std::vector<Section>& config_sections() {
  static const std::vector<Section> sections = {
      {"run", "The run as a whole."},
      {"model", "The network. A size that is \"auto\" follows from the others."},
      {"data", "What is read."},
      {"training", "How long, and in which batches. Two values of the batch triangle give the third."},
      {"optimizer", "How the weights are updated."},
      {"optimizer.params", "Parameters of the optimizer; each type has its own."},
      {"scheduler", "How the learning rate changes."},
      {"scheduler.params", "Parameters of the scheduler; each type has its own."},
      {"bf16", "Mixed precision."},
      {"zero_optimization", "How the training state is sharded over the ranks."},
      {"zero_optimization.offload_optimizer",
       "Optimizer state in the host's memory, for models whose state GPUs cannot hold."},
      {"checkpoint", "When the run is saved."},
      {"comms_logger", "A table of what the ranks have exchanged."},
      {"slurm", "What `ferula submit` asks SLURM for. `train` itself reads only the profile."},
      {"debug", "Checks that cost time."},
  };
  return sections;
}

}  // namespace ferula
