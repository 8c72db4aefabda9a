// Tiny runs that save, resume and stop as real ones do: checkpoints, metrics and a summary in a folder.
#pragma once

#include <string>

#include "checkpoint/checkpoint_writer.hpp"
#include "checkpoint/resume.hpp"
#include "support/train/tiny_run.hpp"
#include "train/progress_state.hpp"
#include "train/training_run.hpp"

namespace ferula::test {

/// Saves the rank's state as a checkpoint of its step in `folder` and returns its path. Collective.
std::string save(TinyRank& rank, const std::string& folder);

/// Fills the rank from this very checkpoint, or the newest of the run it names, and sets the trainer's progress.
/// Collective.
void load(TinyRank& rank, const std::string& checkpoint);

/// Three steps, a checkpoint, and two steps more on `tiny_dataset`, by `before` and `behind`, which may be other
/// devices and layouts: the last loss, as rank 0 has it.
double loss_after_a_stop(const TinyRun& before, const TinyRun& behind);

/// What a run does and where; every rank gives the same.
struct TinyTraining {
  std::string root;  // RUN; its folder exists
  std::int64_t steps = 0;
  std::int64_t checkpoint_every = 0;
  std::int64_t evaluate_every = 0;
  Retention retention = {};
};

/// A TrainingRun that goes on from the newest checkpoint of RUN, where there is one. Collective.
ExitCode run_training(TinyRank& rank, const TinyTraining& training, const StopRequest& stop);

/// Nobody asks.
class NeverStop final : public StopRequest {
 public:
  ExitCode asked() const override { return ExitCode::done; }
};

}  // namespace ferula::test
