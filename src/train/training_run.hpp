// A run from its first step to its last: steps, validation, checkpoints, signals and everything that is written down.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/stop_request.hpp"
#include "checkpoint/checkpoint_writer.hpp"
#include "train/comms_report.hpp"
#include "train/metrics_log.hpp"
#include "train/run_directory.hpp"
#include "train/run_report.hpp"

namespace ferula {

/// How often a run does what.
struct RunPlan {
  std::int64_t steps = 0;
  std::int64_t evaluate_every = 0;    // steps; 0: only at the end
  std::int64_t checkpoint_every = 0;  // steps; 0: only at the end
  std::int64_t seed = 0;
  std::string config_text;  // the resolved configuration, TOML: goes into every checkpoint
  std::vector<TiedTensor> tied;
  std::map<std::string, std::string> notes = {};  // go into every checkpoint: which tokens these are
  CollectiveListing listing = {};
};

/// Called by all ranks alike; rank 0 writes the files of the run. References outlive it.
class TrainingRun {
 public:
  struct Parts {
    Mesh& mesh;
    Execution& execution;
    FileSystem& files;
    Log& log;  // speaks on rank 0 only
    const StopRequest& stop;
    Trainer& trainer;
    ParameterStore& store;
    CheckpointWriter& writer;
  };

  TrainingRun(const Parts& parts, RunPlan plan, RunFacts facts, RunDirectory directory);

  /// Trains until the last step or until somebody asks the run to stop; saves, writes the account and returns the
  /// documented code: done, resume_me or interrupted. After an error summary.json tells it, and the error is thrown on;
  /// a last save that was abandoned is such an error: nobody is told that a state is safe that is not.
  ExitCode run();

 private:
  /// What all ranks know after a step: the worst of each.
  struct Agreement {
    ExitCode asked = ExitCode::done;
    std::int64_t memory_peak_bytes = 0;
  };

  void start();
  void train();
  void one_step();
  Agreement agree_on_step();
  void record(const StepResult& step, std::int64_t memory_peak_bytes);
  void show_progress(const StepMetrics& metrics);
  void save();
  void insist_on_last_save() const;
  void insist_on_finite_validation() const;
  TrainingState state() const;
  RunOutcome outcome(const std::string& exit_reason) const;
  void write_account();
  void write_collectives();
  std::optional<double> mfu(double tokens_per_second) const;
  bool is_due(std::int64_t every) const;

  Parts parts_;
  RunPlan plan_;
  RunFacts facts_;
  RunDirectory directory_;
  std::optional<MetricsLog> metrics_;
  bool lost_metrics_ = false;  // has been told
  ExitCode asked_ = ExitCode::done;
  Stopwatch elapsed_, since_line_;
  double last_loss_ = 0.0;
  std::optional<double> validation_loss_;
  std::int64_t steady_steps_ = 0;  // steps that count for tokens a second: without the first ones
  double steady_seconds_ = 0.0;
  std::int64_t steady_tokens_ = 0;
  RankTotals totals_;
  std::string last_checkpoint_;
  std::string lost_save_;  // why the last save was abandoned; empty where it is on disk
};

}  // namespace ferula
