// One function a group of automatic values; each names its rule.
#include "config/resolve_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/glob.hpp"
#include "base/narrow.hpp"
#include "config/batch_triangle.hpp"
#include "config/config_rules.hpp"
#include "config/nearest_name.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kHighestStage = 3;

class Resolver {
 public:
  Resolver(ConfigDraft& draft, const ResolveFacts& facts)
      : loaded_(draft.loaded), config_(loaded_.config), mistakes_(draft.mistakes), facts_(facts) {}

  void device() {
    if (config_.run.device != "auto") return;
    config_.run.device = facts_.device.kind;
    automatic("run.device", facts_.device.reason);
  }

  void model() {
    ModelConfig& model = config_.model;
    const bool llama = model.family == "llama";
    settle("model.kv_heads", model.kv_heads, model.heads, fmt::format("model.heads is {}", model.heads));
    settle("model.head_dim", model.head_dim, model.width / model.heads,
           fmt::format("width / heads = {} / {}", model.width, model.heads));
    if (llama) {
      settle("model.ffn_width", model.ffn_width, round_up(ceil_div(8 * model.width, 3), 64),
             fmt::format("8/3 · width = 8/3 · {}, rounded up to a multiple of 64", model.width));
    } else {
      settle("model.ffn_width", model.ffn_width, 4 * model.width, fmt::format("4 · width = 4 · {}", model.width));
    }
    settle("model.tied_embeddings", model.tied_embeddings, !llama, fmt::format("the family is {}", model.family));
    settle("model.vocabulary", model.vocabulary, facts_.tokenizer_vocabulary,
           fmt::format("the tokenizer has {} tokens", facts_.tokenizer_vocabulary));
    if (model.vocabulary.get() >= facts_.tokenizer_vocabulary) return;
    report({"model.vocabulary"},
           fmt::format("model.vocabulary: expected at least the tokenizer's {} tokens, found {}",
                       facts_.tokenizer_vocabulary, model.vocabulary.get()),
           "write \"auto\", or a larger number, which pads the embedding");
  }

  /// Globs that the user gave and that match no tensor. Of a model that is itself a mistake nothing is known.
  void globs() {
    if (!facts_.tensor_names || mistakes_.any_under("model")) return;
    const std::vector<std::string> names = facts_.tensor_names(config_.model);
    const Config defaults;  // a file that writes a default out means no tensor of this model by it
    check_globs("training.frozen", config_.training.frozen, defaults.training.frozen, names);
    check_globs("optimizer.no_decay", config_.optimizer.no_decay, defaults.optimizer.no_decay, names);
  }

  void precision() {
    const bool native = facts_.device.has_native_bf16;
    settle("bf16.enabled", config_.bf16.enabled, native,
           native ? "the device computes bf16 natively" : "the device does not compute bf16 natively");
  }

  void zero() {
    ZeroConfig& zero = config_.zero_optimization;
    settle("zero_optimization.overlap_comm", zero.overlap_comm, zero.stage == kHighestStage,
           fmt::format("the stage is {}", zero.stage));
    const std::int64_t width = config_.model.width;
    settle("zero_optimization.stage3_prefetch_bucket_size", zero.stage3_prefetch_bucket_size, 9 * width * width / 10,
           fmt::format("0.9 · width² = 0.9 · {}²", width));
    settle("zero_optimization.stage3_param_persistence_threshold", zero.stage3_param_persistence_threshold, 10 * width,
           fmt::format("10 · width = 10 · {}", width));
    const std::int64_t ranks = facts_.data_parallel_ranks;
    if (zero.shard_size == "all") {
      zero.shard_size = std::to_string(ranks);
      automatic("zero_optimization.shard_size", fmt::format("all {} data-parallel ranks", ranks));
      return;
    }
    const bool divides = zero.shard_size.size() < 10 && ranks % std::stoll(zero.shard_size) == 0;
    if (divides) return;
    report({"zero_optimization.shard_size"},
           fmt::format("zero_optimization.shard_size: expected a divisor of the {} data-parallel ranks, found {}",
                       ranks, zero.shard_size),
           fmt::format("use \"all\" or one of {}; --ranks N says how many there are", divisors_text(ranks)));
  }

  void batch() {
    TrainingConfig& training = config_.training;
    if (facts_.use == ConfigUse::inference) {
      settle("training.train_micro_batch_size_per_gpu", training.train_micro_batch_size_per_gpu, std::int64_t{1},
             "unused");
      settle("training.gradient_accumulation_steps", training.gradient_accumulation_steps, std::int64_t{1}, "unused");
      settle("training.train_batch_size", training.train_batch_size, std::int64_t{1}, "unused");
      return;
    }
    if (training.train_batch_size.is_auto() && training.train_micro_batch_size_per_gpu.is_auto()) return;  // reported
    const std::int64_t ranks = facts_.data_parallel_ranks;
    const BatchRequest request{training.train_batch_size.value, training.train_micro_batch_size_per_gpu.value,
                               training.gradient_accumulation_steps.value};
    const BatchOutcome outcome = solve_batch(request, ranks);
    if (!outcome.problem.empty()) return report_batch(request, outcome);
    const BatchTriple& triple = outcome.triple;
    const std::string reason = fmt::format("{} = micro batch {} · accumulation {} · {} data-parallel ranks",
                                           triple.train, triple.micro, triple.accumulation, ranks);
    settle("training.train_batch_size", training.train_batch_size, triple.train, reason);
    settle("training.train_micro_batch_size_per_gpu", training.train_micro_batch_size_per_gpu, triple.micro, reason);
    settle("training.gradient_accumulation_steps", training.gradient_accumulation_steps, triple.accumulation, reason);
  }

  void length() {
    TrainingConfig& training = config_.training;
    if (facts_.use == ConfigUse::inference) settle_unused_length();
    if (!facts_.training_samples || training.train_batch_size.is_auto()) return;
    const auto samples = static_cast<double>(*facts_.training_samples);
    const auto batch = static_cast<double>(training.train_batch_size.get());
    if (training.steps.is_auto() && training.epochs.is_auto()) return;  // reported
    if (training.steps.is_auto()) {
      const double steps = std::max(1.0, std::ceil(training.epochs.get() * samples / batch));
      settle("training.steps", training.steps, static_cast<std::int64_t>(steps),
             fmt::format("{} epochs of {} samples in batches of {}", training.epochs.get(), samples, batch));
    }
    settle("training.epochs", training.epochs, static_cast<double>(training.steps.get()) * batch / samples,
           fmt::format("{} steps of {} out of {} samples", training.steps.get(), batch, samples));
  }

  /// Whoever foresees memory and time counts in 64 bits; the libraries count the rows of a matrix in 32.
  void sizes() {
    if (mistakes_.any_under("model") || mistakes_.any_under("training") || mistakes_.any_under("data")) return;
    constexpr double kMostParameters = 1e15, kMostRows = 2147483647.0, kMostActivations = 1e16;
    const ModelConfig& model = config_.model;
    const auto layers = static_cast<double>(model.layers), width = static_cast<double>(model.width);
    const double heads = static_cast<double>(2 * (model.heads + model.kv_heads.get()) * model.head_dim.get());
    const double layer = width * (heads + 3.0 * static_cast<double>(model.ffn_width.get()));
    const double tables = width * static_cast<double>(2 * model.vocabulary.get() + model.context);
    if (const double parameters = layers * layer + tables; parameters > kMostParameters)
      report({"model.width", "model.layers"},
             fmt::format("model: expected at most {:g} parameters, found about {:.3g}", kMostParameters, parameters),
             "make the model smaller: model.width counts twice");
    const Auto<std::int64_t>& samples = config_.training.train_micro_batch_size_per_gpu;
    if (samples.is_auto()) return;  // a model that is only read, or a mistake elsewhere
    const double rows = static_cast<double>(samples.get()) * static_cast<double>(config_.data.sequence_length);
    const double activations = rows * layers * (width + heads + static_cast<double>(model.ffn_width.get()));
    if (rows > kMostRows || activations > kMostActivations)
      report({"training.train_micro_batch_size_per_gpu", "data.sequence_length"},
             fmt::format("a micro batch: expected at most 2^31 - 1 tokens, and {:g} activations in all layers, found "
                         "{:.4g} tokens and about {:.3g} activations",
                         kMostActivations, rows, activations),
             "lower the micro batch or the sequence length; gradient_accumulation_steps keeps the batch");
  }

  void scheduler() {
    SchedulerParams& params = config_.scheduler.params;
    settle("scheduler.params.warmup_max_lr", params.warmup_max_lr, config_.optimizer.params.lr,
           fmt::format("optimizer.params.lr is {}", config_.optimizer.params.lr));
    if (config_.training.steps.is_auto()) return;
    const std::int64_t steps = config_.training.steps.get();
    if (!params.total_num_steps.is_auto()) return;
    settle("scheduler.params.total_num_steps", params.total_num_steps, steps,
           fmt::format("training.steps is {}", steps));
    if (facts_.use == ConfigUse::training) check_warmup(loaded_, mistakes_);
  }

 private:
  void automatic(const std::string& key, std::string reason) {
    loaded_.sources[key] = {
        .kind = SourceKind::automatic, .where = loaded_.sources[key].where, .reason = std::move(reason)};
  }

  template <class T>
  void settle(const std::string& key, Auto<T>& member, T value, std::string reason) {
    if (!member.is_auto()) return;
    member = Auto<T>(value);
    automatic(key, std::move(reason));
  }

  void check_globs(const std::string& key, const std::vector<std::string>& globs, const std::vector<std::string>& usual,
                   const std::vector<std::string>& names) {
    if (globs == usual) return;
    for (const std::string& glob : globs) {
      const auto matches = [&](const std::string& name) { return glob_matches(glob, name); };
      if (std::any_of(names.begin(), names.end(), matches)) continue;
      const auto nearest = nearest_name(glob, names);
      report(
          {key},
          fmt::format("{}: expected globs of tensor names, found \"{}\", which matches none of this model", key, glob),
          nearest ? fmt::format("did you mean \"{}\"?", *nearest)
                  : fmt::format("this model has \"{}\" and others; `ferula train --dry-run` lists its units, "
                                "`ferula checkpoint show` all tensors of a checkpoint",
                                names.back()));
    }
  }

  void settle_unused_length() {
    settle("training.steps", config_.training.steps, std::int64_t{1}, "unused");
    settle("training.epochs", config_.training.epochs, 1.0, "unused");
  }

  void report_batch(const BatchRequest& request, const BatchOutcome& outcome) {
    std::string fix = fmt::format("for {} data-parallel ranks these are legal:", facts_.data_parallel_ranks);
    for (const BatchTriple& triple : nearest_batches(request, facts_.data_parallel_ranks, 3)) {
      fix += fmt::format(
          "\n     train_batch_size = {}, train_micro_batch_size_per_gpu = {}, gradient_accumulation_steps = {}",
          triple.train, triple.micro, triple.accumulation);
    }
    report({"training.train_batch_size", "training.train_micro_batch_size_per_gpu",
            "training.gradient_accumulation_steps"},
           outcome.problem, std::move(fix));
  }

  static std::string divisors_text(std::int64_t ranks) {
    std::string text;
    for (std::int64_t divisor = 1; divisor <= ranks; ++divisor) {
      if (ranks % divisor == 0) text += fmt::format("{}{}", text.empty() ? "" : ", ", divisor);
    }
    return text;
  }

  void report(const std::vector<std::string>& keys, std::string message, std::string fix) {
    report_rule(loaded_, mistakes_, keys, std::move(message), std::move(fix));
  }

  LoadedConfig& loaded_;
  Config& config_;
  MistakeCollector& mistakes_;
  const ResolveFacts& facts_;
};

}  // namespace

LoadedConfig resolve_config(ConfigDraft draft, const ResolveFacts& facts) {
  FERULA_CHECK(facts.data_parallel_ranks >= 1, "{} data-parallel ranks", facts.data_parallel_ranks);
  FERULA_CHECK(facts.training_samples.value_or(1) >= 1, "{} training samples", *facts.training_samples);
  Resolver resolver(draft, facts);
  resolver.device();
  resolver.model();
  resolver.globs();
  resolver.precision();
  resolver.zero();
  resolver.batch();
  resolver.length();
  resolver.sizes();
  resolver.scheduler();
  draft.mistakes.throw_if_any();
  return std::move(draft.loaded);
}

LoadedConfig resolve_config(LoadedConfig loaded, const ResolveFacts& facts) {
  return resolve_config(ConfigDraft{.loaded = std::move(loaded), .mistakes = {}}, facts);
}

std::vector<std::string> config_warnings(const LoadedConfig& resolved) {
  const SchedulerConfig& scheduler = resolved.config.scheduler;
  std::vector<std::string> warnings;
  const bool is_automatic = resolved.sources.at("scheduler.params.warmup_max_lr").kind == SourceKind::automatic;
  if (scheduler.type == "WarmupDecayLR" && is_automatic)
    warnings.push_back(
        fmt::format("scheduler.params.warmup_max_lr is not given: WarmupDecayLR rises to optimizer.params.lr = {:g} "
                    "here, in DeepSpeed to 0.001; write the one you mean",
                    scheduler.params.warmup_max_lr.get()));
  const Auto<std::int64_t>& total = scheduler.params.total_num_steps;
  const Auto<std::int64_t>& steps = resolved.config.training.steps;
  const bool decays = scheduler.type != "constant" && scheduler.type != "WarmupLR";
  if (decays && !total.is_auto() && !steps.is_auto() && total.get() < steps.get())
    warnings.push_back(
        fmt::format("scheduler.params.total_num_steps = {} ends the schedule before training.steps = {}: the steps "
                    "behind it learn at its last rate; write \"auto\" for the length of the run",
                    total.get(), steps.get()));
  return warnings;
}

}  // namespace ferula
