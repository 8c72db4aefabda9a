#include "app/training_session.hpp"

#include <optional>

#include "app/jobs/job_plan.hpp"
#include "app/jobs/storage_check.hpp"
#include "app/model_setup.hpp"
#include "app/plan_text.hpp"
#include "app/real_system.hpp"
#include "app/resume_run.hpp"
#include "app/run_data.hpp"
#include "app/run_entry.hpp"
#include "app/session_facts.hpp"
#include "checkpoint/agreement.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "config/config_text.hpp"
#include "train/progress_state.hpp"
#include "train/run_summary.hpp"
#include "train/training_run.hpp"

namespace ferula {
namespace {

constexpr int kPatienceForQuotas_s = 5;

CollectiveListing listing_of(const CommsLoggerConfig& config) {
  CollectiveListing listing{.enabled = config.enabled, .verbose = config.verbose};
  for (const std::string& name : config.prof_ops) listing.collectives.push_back(collective_named(name).value());
  return listing;
}

/// Everything that one rank trains with, made in the order of its members.
class Session {
 public:
  Session(RankContext& context, const Config& config, const RunData& data)
      : context_(context),
        config_(config),
        spec_(transformer_spec(config.model, data.file->vocabulary())),
        store_(model_table(config, spec_), store_settings(config, StoreUse::training), context.mesh, context.execution),
        transformer_(spec_, store_, context.execution, transformer_settings(config)),
        loader_(*data.dataset, static_cast<std::uint64_t>(config.run.seed), batch_shape(config, context.mesh),
                context.execution.device, context.execution.compute),
        learning_rate_(config.scheduler, config.optimizer),
        notes_(token_notes(*data.file)),
        trainer_({context.mesh, context.execution, store_, transformer_, loader_, learning_rate_},
                 config.training.gradient_clipping) {
    store_.initialize(static_cast<std::uint64_t>(config.run.seed));
    for (const std::string& warning : learning_rate_.warnings()) context.log.warning(warning);
  }

  ParameterStore& store() { return store_; }
  Trainer& trainer() { return trainer_; }
  const TransformerSpec& spec() const { return spec_; }

  ExitCode run(const RunFacts& facts, const RunDirectory& directory) {
    CheckpointWriter writer(directory.checkpoints().string(),
                            {.keep_last = config_.checkpoint.keep_last, .keep_every = config_.checkpoint.keep_every},
                            context_.files, context_.mesh.world(), context_.execution.device,
                            context_.execution.communication);
    const TrainingRun::Parts parts{context_.mesh, context_.execution, context_.files, context_.log,
                                   context_.stop, trainer_,           store_,         writer};
    TrainingRun training(parts, run_plan(), facts, directory);
    return training.run();
  }

 private:
  RunPlan run_plan() const {
    RunPlan plan{.steps = config_.training.steps.get(),
                 .evaluate_every = config_.training.evaluate_every,
                 .checkpoint_every = config_.checkpoint.every_steps,
                 .seed = config_.run.seed,
                 .config_text = to_toml(config_),
                 .tied = {},
                 .notes = notes_,
                 .listing = listing_of(config_.comms_logger)};
    if (spec_.tied) plan.tied.push_back({"head.weight", "embedding.token.weight"});
    return plan;
  }

  RankContext& context_;
  const Config& config_;
  TransformerSpec spec_;
  ParameterStore store_;
  Transformer transformer_;
  BatchLoader loader_;
  LearningRate learning_rate_;
  std::map<std::string, std::string> notes_;
  Trainer trainer_;
};

Config planned_config(const SessionRequest& request) { return resolve_config(request.loaded, request.facts).config; }

/// What is known of a run before its data is open.
RunFacts planned_facts(RankContext& context, const SessionRequest& request, const Config& config,
                       const RunDirectory& directory) {
  return facts_of(context, request, config, transformer_spec(config.model, request.facts.tokenizer_vocabulary),
                  directory);
}

/// Whether each rank has the memory that it is expected to take; the same on all.
Outcome agreed_room(RankContext& context, const RunFacts& facts) {
  return agree(context.mesh.world(), context.execution.communication, outcome_of([&] { require_room(facts); }));
}

/// Resolves what the data decides; the warnings are told once a run.
Config resolved(RankContext& context, const SessionRequest& request, const RunData& data) {
  ResolveFacts facts = request.facts;
  facts.training_samples = data.dataset->samples(Split::training);
  const LoadedConfig loaded = resolve_config(request.loaded, facts);
  for (const std::string& warning : config_warnings(loaded)) context.log.warning(warning);
  return loaded.config;
}

/// A run on its way from its directory to its first step.
class RunStart {
 public:
  RunStart(RankContext& context, const SessionRequest& request, const ResumeChoice& choice, RunDirectory directory)
      : context_(context),
        request_(request),
        choice_(choice),
        directory_(std::move(directory)),
        facts_(planned_facts(context, request, planned_config(request), directory_)) {}

  /// Everything before the first step. False where there is nothing left to train. After an error summary.json tells
  /// it, but for the one of an earlier start, which tells what that one has trained and stays; log.txt has both.
  bool prepare() {
    enter();
    const Outcome room = agreed_room(context_, facts_);
    if (!room.good()) context_.log.warning(room.problem);
    try {
      if (!open_data()) return false;
      session_.emplace(context_, *config_, data_);
      facts_ = facts_of(context_, request_, *config_, session_->spec(), directory_);
      if (!go_on()) return false;
      check_storage();
      facts_.peak_flops = probed_peak(context_, compute_dtype(*config_));
      if (replaces_) replace_earlier_run();
      facts_.data = data_in_words(data_);
      on_first_rank(context_, [&] {
        write_file_atomically(context_.files, directory_.config().string(), to_toml(*config_), Replace::existing);
        context_.files.remove(directory_.summary().string());  // an earlier start's: this one writes its own at its end
      });
      return true;
    } catch (...) {
      clean_up();
      throw;
    }
  }

  ExitCode train() {
    context_.log.info(run_header(facts_));
    return session_->run(facts_, directory_);
  }

  /// Lets others enter the run's directory.
  void leave() { lock_.reset(); }

 private:
  /// Locks the directory. An earlier run that `--resume never` replaces keeps it until the new one is fit to start.
  void enter() {
    on_first_rank(context_, [&] {
      replaces_ = choice_.kind == ResumeChoice::Kind::never && context_.files.is_directory(directory_.root.string());
      lock_ = enter_run(context_.files, directory_, context_.log);
    });
    replaces_ = agree_max(context_.mesh.world(), context_.execution.communication, replaces_ ? 1.0 : 0.0) > 0.0;
    if (!replaces_) on_first_rank(context_, [&] { context_.log.open_file(directory_.log()); });
  }

  /// False where the data is not what it was and no step is left that would read it.
  bool open_data() {
    try {
      read_data();
    } catch (const DataError& error) {
      const std::int64_t done = agreed_steps_on_disk();
      if (choice_.kind != ResumeChoice::Kind::newest || facts_.steps == 0 || done < facts_.steps) throw;
      say_finished(done, directory_.checkpoints().string());
      context_.log.warning(fmt::format("a longer run could not begin: {}", error.what()));
      return false;
    }
    config_ = resolved(context_, request_, data_);
    return true;
  }

  void read_data() {
    const Config& config = request_.loaded.config;
    const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(config);
    const bool continues = !replaces_ && has_checkpoints(context_.files, directory_);
    const std::string own = replaces_ ? directory_.root.string() + ".starting.h5" : directory_.tokens().string();
    if (replaces_ || (continues && !context_.files.exists(own))) unproven_tokens_ = own;
    const OnChangedText on_changed = continues ? OnChangedText::refuse : OnChangedText::rewrite;
    data_ = open_run_data(context_, config, own, *tokenizer, on_changed);
  }

  /// Resumes where there is something to resume from. False where its steps are all done.
  bool go_on() {
    const auto loaded = resume(context_, choice_, directory_, *config_, session_->store());
    if (!loaded) {
      start_from_model(context_, *config_, session_->store());
      return true;
    }
    check_tokens(context_, directory_, *loaded, *data_.file);
    session_->trainer().restore(progress_of(loaded->state));
    facts_.first_step = loaded->state.step;
    facts_.longer = longer_settings(request_.loaded.config, *config_, loaded->state.step);
    facts_.resumed_from = loaded->checkpoint;
    if (loaded->state.step >= facts_.steps) {
      say_finished(loaded->state.step, loaded->checkpoint);
      return false;
    }
    leave_newer_behind(context_, choice_, directory_, *loaded);
    return true;
  }

  /// Everything but the tokens, which are there, is still to be written.
  void check_storage() {
    on_first_rank(context_, [&] {
      const RealSystem facts({}, context_.files, "/", kPatienceForQuotas_s);
      const RunStorage storage = run_storage(*config_, session_->spec(), context_.mesh.size(), context_.files);
      const std::string directory = std::filesystem::absolute(directory_.root).string();
      for (const std::string& problem : {storage_problem(facts, storage, directory), place_problem_of(directory)})
        if (!problem.empty()) context_.log.warning(problem);
    });
  }

  std::string place_problem_of(const std::string& directory) const {
    try {
      const auto profile = profile_of(request_.loaded.config.slurm);
      return profile ? place_problem(*profile, directory) : "";
    } catch (const ConfigError&) {  // a run needs no profile
      return "";
    }
  }

  void say_finished(std::int64_t steps, const std::string& where) {
    context_.log.info(fmt::format(
        "this run is finished: {} steps are done ({}). Nothing but log.txt was changed. To train longer: {}", steps,
        where, longer_command(facts_.command, facts_.longer)));
  }

  /// The last thing before the first step: nothing that is still to come depends on what the user gave.
  void replace_earlier_run() {
    const bool tokens_are_own = data_.file->path() == unproven_tokens_;
    on_first_rank(context_, [&] {
      replace_run(context_.files, directory_, lock_, context_.log);
      if (tokens_are_own) context_.files.rename(unproven_tokens_, directory_.tokens().string(), Replace::never);
      context_.log.open_file(directory_.log());
    });
    if (tokens_are_own) data_.file->renamed_to(directory_.tokens().string());
    replaces_ = false;
  }

  /// While an error is caught: removes tokens that were made for nothing and writes summary.json into this run's own
  /// directory.
  void clean_up() {
    if (!unproven_tokens_.empty() && context_.mesh.rank() == 0)
      outcome_of([&] { context_.files.remove(unproven_tokens_); });
    if (replaces_ || context_.files.exists(directory_.summary().string())) return;
    write_failed_summary(context_.files, directory_, facts_, {.exit_reason = {}, .steps = steps_on_disk()},
                         context_.mesh, context_.execution, {}, context_.log);
  }

  /// Of the newest good checkpoint; 0 where there is none or the disk cannot tell.
  std::int64_t steps_on_disk() const {
    std::int64_t steps = 0;
    outcome_of([&] { steps = newest_good_step(context_.files, directory_.checkpoints().string()).value_or(0); });
    return steps;
  }

  /// The same on all ranks.
  std::int64_t agreed_steps_on_disk() const {
    return static_cast<std::int64_t>(
        agree_max(context_.mesh.world(), context_.execution.communication, static_cast<double>(steps_on_disk())));
  }

  RankContext& context_;
  const SessionRequest& request_;
  const ResumeChoice& choice_;
  RunDirectory directory_;
  RunFacts facts_;
  std::unique_ptr<FileLock> lock_;  // of rank 0, for all
  bool replaces_ = false;           // an earlier run is still in the place of this one
  std::string unproven_tokens_;     // a token file that goes where the start fails
  RunData data_;
  std::optional<Config> config_;
  std::optional<Session> session_;
};

}  // namespace

ExitCode train(RankContext& context, const SessionRequest& request) {
  const RunDirectory directory = run_directory(request.loaded.config.run);
  const ResumeChoice choice = resume_choice(context.files, request.resume);
  RunStart start(context, request, choice, directory);
  try {
    return start.prepare() ? start.train() : ExitCode::done;
  } catch (...) {  // before the memory goes that collectives may be at work on
    start.leave();
    context.end_collectives();
    throw;
  }
}

ExitCode plan_training(RankContext& context, const SessionRequest& request) {
  const Config config = planned_config(request);
  RunFacts facts = planned_facts(context, request, config, run_directory(config.run));
  facts.data = "not opened in a dry run";
  const TransformerSpec spec = transformer_spec(config.model, request.facts.tokenizer_vocabulary);
  const RunStorage storage = run_storage(config, spec, context.mesh.size(), context.files);
  context.log.info(run_header(facts) + "\n\n" + plan_text(config, spec, context.mesh) +
                   fmt::format("\nstorage of the run: {}\n\nnothing was trained (--dry-run)", storage.words));
  require(agreed_room(context, facts));
  return ExitCode::done;
}

}  // namespace ferula
