// One function a group of rules; each rule is a condition, what was found, and what to do.
#include "config/config_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "config/setting.hpp"

namespace ferula {
namespace {

/// The rules of one configuration.
class RuleCheck {
 public:
  RuleCheck(LoadedConfig& loaded, MistakeCollector& mistakes)
      : loaded_(loaded), config_(loaded.config), mistakes_(mistakes) {}

  void parameters_belong_to_their_type(const std::string& section, const std::string& type) {
    for (const Setting& setting : settings_of(loaded_.config)) {
      if (setting.types.empty() || !setting.key.starts_with(section + ".")) continue;
      if (std::find(setting.types.begin(), setting.types.end(), type) != setting.types.end()) continue;
      if (!given(setting.key)) continue;
      report({setting.key, section + ".type"},
             fmt::format("{}: {} has no parameter '{}'", setting.key, type, setting.name()),
             fmt::format("remove it; it belongs to {}", fmt::join(setting.types, ", ")));
    }
  }

  void run() {
    const std::string& name = config_.run.name;
    const bool is_printable = std::none_of(name.begin(), name.end(), [](unsigned char c) { return std::iscntrl(c); });
    if (is_printable && name.find('/') == std::string::npos && name != "." && name != "..") return;
    report({"run.name"}, fmt::format("run.name: expected the name of a directory, found '{}'", name),
           is_printable ? "a path belongs into run.output_dir" : "write it without line breaks and control characters");
  }

  void heads() {
    const ModelConfig& model = config_.model;
    if (!model.head_dim.is_auto() && model.head_dim.get() % 2 != 0) {
      report({"model.head_dim"}, fmt::format("model.head_dim: expected an even number, found {}", model.head_dim.get()),
             "rotary positions and vector units need pairs");
    }
    if (!model.kv_heads.is_auto() && model.heads % model.kv_heads.get() != 0) {
      report({"model.kv_heads", "model.heads"},
             fmt::format("model.kv_heads: expected a divisor of model.heads = {}, found {}", model.heads,
                         model.kv_heads.get()),
             "each key head serves the same number of heads");
    }
    if (model.head_dim.is_auto()) heads_divide_width();
  }

  void tokenizer() {
    if (config_.data.tokenizer != "ids" || !config_.model.vocabulary.is_auto()) return;
    report({"data.tokenizer", "model.vocabulary"},
           "model.vocabulary: expected a number, because the tokenizer \"ids\" has no vocabulary of its own",
           "give the number of tokens of the tokenizer that made the ids, or a model.path that knows it");
  }

  void sources() {
    const DataConfig& data = config_.data;
    const std::vector<std::string> sources = {"data.text", "data.tokens"};
    if (data.text.empty() && data.tokens.empty()) {
      report(sources, "expected data.text or data.tokens, found neither",
             "give the text, for example --set data.text=book.txt");
    }
    if (!data.text.empty() && !data.tokens.empty()) {
      report(sources, "expected either data.text or data.tokens, found both", "remove one of them");
    }
  }

  void data() {
    const DataConfig& data = config_.data;
    if (data.sequence_length > config_.model.context) {
      report({"data.sequence_length", "model.context"},
             fmt::format("data.sequence_length: expected at most model.context = {}, found {}", config_.model.context,
                         data.sequence_length),
             "shorten the samples or enlarge the context");
    }
    if (config_.training.evaluate_every > 0 && data.validation_fraction == 0.0) {
      report({"training.evaluate_every", "data.validation_fraction"},
             "training.evaluate_every: expected 0, because data.validation_fraction = 0 keeps no text for validation",
             "set evaluate_every = 0 or a larger validation_fraction");
    }
  }

  void length() {
    const TrainingConfig& training = config_.training;
    const std::vector<std::string> lengths = {"training.steps", "training.epochs"};
    if (training.steps.is_auto() && training.epochs.is_auto()) {
      report(lengths, "expected training.steps or training.epochs, found neither", "say how long to train");
    }
    if (!training.steps.is_auto() && !training.epochs.is_auto()) {
      report(lengths, "expected either training.steps or training.epochs, found both",
             "remove one of them, or set it to \"auto\"");
    }
    if (training.train_batch_size.is_auto() && training.train_micro_batch_size_per_gpu.is_auto()) {
      report({"training.train_batch_size", "training.train_micro_batch_size_per_gpu",
              "training.gradient_accumulation_steps"},
             "Either train_batch_size or train_micro_batch_size_per_gpu needs to be provided",
             "give one of them under [training]");
    }
  }

  void optimizer() {
    const OptimizerParams& params = config_.optimizer.params;
    if (params.nesterov && params.momentum == 0.0) {
      report({"optimizer.params.nesterov", "optimizer.params.momentum"},
             "optimizer.params.nesterov: expected a momentum above 0, found 0", "set momentum, for example 0.9");
    }
  }

 private:
  void heads_divide_width() {
    const ModelConfig& model = config_.model;
    const std::vector<std::string> keys = {"model.heads", "model.width", "model.head_dim"};
    if (model.width % model.heads != 0) {
      report(keys,
             fmt::format("model.heads: expected a divisor of model.width = {}, found {}", model.width, model.heads),
             "change one of them, or give model.head_dim");
      return;
    }
    const std::int64_t head_dim = model.width / model.heads;
    if (head_dim % 2 == 0 && head_dim <= 256) return;
    report(keys,
           fmt::format("model.heads: expected an even head size of at most 256, found width / heads = {}", head_dim),
           "change heads or width, or give model.head_dim");
  }

  bool given(const std::string& key) const {
    return loaded_.sources.at(key).kind != SourceKind::default_value &&
           loaded_.sources.at(key).kind != SourceKind::automatic;
  }

  void report(const std::vector<std::string>& keys, std::string message, std::string fix) {
    report_rule(loaded_, mistakes_, keys, std::move(message), std::move(fix));
  }

  LoadedConfig& loaded_;
  const Config& config_;
  MistakeCollector& mistakes_;
};

}  // namespace

void apply_type_defaults(LoadedConfig& loaded) {
  ValueSource& source = loaded.sources.at("optimizer.params.betas");
  if (loaded.config.optimizer.type != "Lion" || source.kind != SourceKind::default_value) return;
  loaded.config.optimizer.params.betas = {0.9, 0.99};
  source.kind = SourceKind::automatic;
  source.reason = "the default of Lion";
}

void check_config_rules(LoadedConfig& loaded, MistakeCollector& mistakes, ConfigUse use) {
  RuleCheck check(loaded, mistakes);
  check.run();
  check.heads();
  check.tokenizer();
  check.data();
  if (use == ConfigUse::inference) return;
  check.parameters_belong_to_their_type("optimizer", loaded.config.optimizer.type);
  check.parameters_belong_to_their_type("scheduler", loaded.config.scheduler.type);
  check.sources();
  check.length();
  check.optimizer();
  check_warmup(loaded, mistakes);
}

void check_warmup(const LoadedConfig& loaded, MistakeCollector& mistakes) {
  const SchedulerConfig& scheduler = loaded.config.scheduler;
  const bool decays = scheduler.type != "constant" && scheduler.type != "WarmupLR";
  const Auto<std::int64_t>& total = scheduler.params.total_num_steps;
  if (!decays || total.is_auto() || scheduler.params.warmup_num_steps <= total.get()) return;
  std::vector<std::string> keys = {"scheduler.params.warmup_num_steps", "scheduler.params.total_num_steps",
                                   "scheduler.type"};
  if (loaded.sources.at("scheduler.params.total_num_steps").kind == SourceKind::automatic) {
    keys.insert(keys.end(), {"training.steps", "training.epochs"});
  }
  report_rule(loaded, mistakes, keys,
              fmt::format("scheduler.params.warmup_num_steps: total_num_steps {} is less than warmup_num_steps {}",
                          total.get(), scheduler.params.warmup_num_steps),
              "shorten the warm-up or train longer");
}

void report_rule(const LoadedConfig& loaded, MistakeCollector& mistakes, const std::vector<std::string>& keys,
                 std::string message, std::string fix) {
  const auto unsure = [&](const std::string& key) {
    const bool is_given = loaded.sources.at(key).kind != SourceKind::default_value;
    return mistakes.doubtful(key) || (mistakes.suspected(key) && !is_given);
  };
  if (std::any_of(keys.begin(), keys.end(), unsure)) return;
  ConfigMistake mistake{.key = keys.front(), .message = std::move(message), .fix = std::move(fix), .where = {}};
  for (const std::string& key : keys) {
    const ValueSource& source = loaded.sources.at(key);
    if (source.where.origin.empty()) continue;
    if (mistake.where.origin.empty()) {
      mistake.key = key;
      mistake.where = source.where;
    } else {
      mistake.related.push_back({key, source.where});
    }
  }
  mistakes.add(std::move(mistake));
}

}  // namespace ferula
