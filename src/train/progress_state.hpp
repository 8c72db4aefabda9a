// Where a run stands, as a checkpoint keeps it.
#pragma once

#include "checkpoint/training_state.hpp"
#include "train/trainer.hpp"

namespace ferula {

/// The steps, samples and tokens of `progress`; the rest of the state is the caller's.
TrainingState state_of(const TrainerProgress& progress);
TrainerProgress progress_of(const TrainingState& state);

}  // namespace ferula
