#include "train/training_run.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/human.hpp"
#include "train/progress_state.hpp"
#include "train/run_summary.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kFirstSteps = 3;  // they fill caches and scratch memory, and say little about speed
constexpr double kSecondsBetweenLines = 2.0;

std::string reason_of(ExitCode asked) {
  if (asked == ExitCode::resume_me) return "saved after SIGUSR1, SIGTERM or SIGHUP";
  if (asked == ExitCode::interrupted) return "interrupted, saved";
  return "finished";
}

}  // namespace

TrainingRun::TrainingRun(const Parts& parts, RunPlan plan, RunFacts facts, RunDirectory directory)
    : parts_(parts),
      plan_(std::move(plan)),
      facts_(std::move(facts)),
      directory_(std::move(directory)),
      last_loss_(std::numeric_limits<double>::quiet_NaN()),
      last_checkpoint_(facts_.resumed_from) {
  totals_.host_bytes = parts_.store.host_ledger().peak_bytes();  // all of it is taken before the first step
}

ExitCode TrainingRun::run() {
  try {
    start();
    train();
    insist_on_last_save();
  } catch (...) {
    write_failed_summary(parts_.files, directory_, facts_, outcome({}), parts_.mesh, parts_.execution, totals_,
                         parts_.log);
    throw;
  }
  write_account();
  return asked_;
}

void TrainingRun::start() {
  parts_.writer.start();
  require(agree(parts_.mesh.world(), parts_.execution.communication, outcome_of([&] {
                  if (parts_.mesh.rank() == 0)
                    metrics_.emplace(parts_.files, directory_.metrics(), parts_.trainer.progress().step);
                })));
}

void TrainingRun::train() {
  const CollectiveLines lines(parts_.mesh.traffic(), parts_.log, plan_.listing);
  while (parts_.trainer.progress().step < plan_.steps && asked_ == ExitCode::done) one_step();
}

void TrainingRun::insist_on_last_save() const {
  if (lost_save_.empty()) return;
  CapacityError lost(
      fmt::format("NOT saved after step {}: {}. {}; make room or mend the folder, then run the same command",
                  parts_.trainer.progress().step, lost_save_,
                  last_checkpoint_.empty() ? "This start has saved no checkpoint"
                                           : fmt::format("The last good checkpoint is {}", last_checkpoint_)));
  lost.share();
  throw lost;
}

/// Before the save: weights that say nothing must not become the newest good checkpoint.
void TrainingRun::insist_on_finite_validation() const {
  if (!validation_loss_ || std::isfinite(*validation_loss_)) return;
  Error diverged(fmt::format(
      "step {}: expected a finite validation loss, found {}; the weights of this step are not saved. Go on "
      "from an earlier checkpoint, if there is one, with a smaller optimizer.params.lr, a longer warm-up or "
      "another seed",
      parts_.trainer.progress().step, *validation_loss_));
  diverged.share();
  throw diverged;
}

void TrainingRun::one_step() {
  const TrafficCounts before = parts_.mesh.traffic().counts();
  const StepResult step = parts_.trainer.step();
  add_difference(totals_.traffic, before, parts_.mesh.traffic().counts());
  last_loss_ = step.loss;
  if (++totals_.steps > kFirstSteps) {
    ++steady_steps_;
    steady_seconds_ += step.seconds;
    steady_tokens_ += step.tokens;
  }
  const Agreement agreed = agree_on_step();
  asked_ = agreed.asked;
  const bool is_last = step.step == plan_.steps || asked_ != ExitCode::done;
  const bool validates = is_due(plan_.evaluate_every) || step.step == plan_.steps;
  validation_loss_ = validates ? parts_.trainer.validation_loss() : std::nullopt;
  record(step, agreed.memory_peak_bytes);
  insist_on_finite_validation();
  if (is_due(plan_.checkpoint_every) || is_last) save();
}

bool TrainingRun::is_due(std::int64_t every) const { return every > 0 && parts_.trainer.progress().step % every == 0; }

TrainingRun::Agreement TrainingRun::agree_on_step() {
  const PhaseTimes::Scope exposed(parts_.execution.phases, Phase::communication);
  std::array<double, 2> worst{static_cast<double>(parts_.stop.asked()),
                              static_cast<double>(parts_.execution.device.ledger().peak_bytes())};
  parts_.mesh.world().all_reduce(parts_.execution.communication,
                                 {reinterpret_cast<std::byte*>(worst.data()), DType::f64, {2}}, ReduceOp::max);
  parts_.execution.communication.synchronize();
  return {static_cast<ExitCode>(static_cast<int>(worst[0])), static_cast<std::int64_t>(worst[1])};
}

void TrainingRun::record(const StepResult& step, std::int64_t memory_peak_bytes) {
  const StepMetrics metrics{.step = step,
                            .tokens_seen = parts_.trainer.progress().tokens_seen,
                            .mfu = mfu(static_cast<double>(step.tokens) / step.seconds),
                            .memory_peak_bytes = memory_peak_bytes,
                            .validation_loss = validation_loss_};
  if (metrics_ && !metrics_->append(metrics) && !std::exchange(lost_metrics_, true))
    parts_.log.warning(
        fmt::format("{}: the line of step {} could not be written, perhaps since the disk is full; the "
                    "run goes on, and so do the lines once there is room",
                    directory_.metrics().string(), step.step));
  const bool is_noteworthy =
      validation_loss_ || step.step == plan_.steps || totals_.steps == 1 || asked_ != ExitCode::done;
  if (is_noteworthy || since_line_.seconds() >= kSecondsBetweenLines) show_progress(metrics);
}

void TrainingRun::show_progress(const StepMetrics& metrics) {
  since_line_.restart();
  const double seconds =
      steady_steps_ > 0 ? steady_seconds_ / static_cast<double>(steady_steps_) : metrics.step.seconds;
  const double rate = static_cast<double>(metrics.step.tokens) / seconds;
  const std::string line =
      progress_text({.step = metrics.step,
                     .steps = plan_.steps,
                     .tokens_per_second = rate,
                     .mfu = mfu(rate),
                     .memory_peak_bytes = metrics.memory_peak_bytes,
                     .seconds_left = seconds * static_cast<double>(plan_.steps - metrics.step.step)});
  if (metrics.validation_loss) {
    parts_.log.info(fmt::format("{}  validation {:.4f}", line, *metrics.validation_loss));
  } else {
    parts_.log.progress(line);
  }
}

std::optional<double> TrainingRun::mfu(double tokens_per_second) const {
  if (facts_.peak_flops <= 0.0) return std::nullopt;
  return facts_.flops_per_token * tokens_per_second / facts_.peak_flops;
}

TrainingState TrainingRun::state() const {
  TrainingState state = state_of(parts_.trainer.progress());
  state.seed = plan_.seed;
  state.layout = {.ranks = facts_.mesh.ranks(),
                  .stage = static_cast<int>(facts_.stage),
                  .replica = facts_.mesh.replica,
                  .shard = facts_.mesh.shard,
                  .pipeline = facts_.mesh.pipeline,
                  .tensor = facts_.mesh.tensor};
  state.notes = plan_.notes;
  return state;
}

void TrainingRun::save() {
  const PhaseTimes::Scope timed(parts_.execution.phases, Phase::checkpoint);
  const Stopwatch watch;
  const SaveResult saved = parts_.writer.save(parts_.store.owned_pieces(),
                                              {.state = state(), .config_text = plan_.config_text, .tied = plan_.tied});
  if (saved.committed) {
    last_checkpoint_ = saved.checkpoint;
    parts_.log.info(
        fmt::format("saved {} ({}, {:.2f} s)", saved.checkpoint, human_bytes(saved.bytes), watch.seconds()));
  }
  lost_save_ = saved.committed ? std::string() : saved.problem;
  if (!saved.problem.empty()) parts_.log.warning(saved.problem);
}

RunOutcome TrainingRun::outcome(const std::string& exit_reason) const {
  std::optional<double> rate, step;
  if (steady_seconds_ > 0.0) {
    rate = static_cast<double>(steady_tokens_) / steady_seconds_;
    step = steady_seconds_ / static_cast<double>(steady_steps_);
  }
  return {.exit_reason = exit_reason,
          .steps = parts_.trainer.progress().step,
          .final_loss = last_loss_,
          .validation_loss = validation_loss_,
          .tokens_per_second = rate,
          .step_seconds = step,
          .elapsed_seconds = elapsed_.seconds(),
          .checkpoint = last_checkpoint_};
}

void TrainingRun::write_collectives() {
  const std::vector<RankTraffic> ranks = gather_traffic(parts_.mesh, parts_.execution, plan_.listing);
  parts_.log.info(comms_table(ranks));
  if (parts_.mesh.rank() != 0) return;
  try {
    write_file_atomically(parts_.files, directory_.comms().string(), comms_csv(ranks), Replace::existing);
  } catch (const Error& error) {
    parts_.log.warning(fmt::format("comms.csv was not written: {}", error.what()));
  }
}

void TrainingRun::write_account() {
  const RunOutcome ended = outcome(reason_of(asked_));
  const std::vector<RankSummary> ranks = gather_summaries(parts_.mesh, parts_.execution, totals_);
  parts_.log.info(run_account(facts_, ended, parts_.execution.phases, ranks));
  if (plan_.listing.enabled) write_collectives();
  if (parts_.mesh.rank() != 0) return;
  write_summary(parts_.files, directory_, 0, summary_json(facts_, ended, parts_.execution.phases, ranks), parts_.log);
}

}  // namespace ferula
