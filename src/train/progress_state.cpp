#include "train/progress_state.hpp"

namespace ferula {
namespace {

const std::string kMicroSteps = "micro_steps";  // DeepSpeed's name of the counter

}  // namespace

TrainingState state_of(const TrainerProgress& progress) {
  TrainingState state;
  state.step = progress.step;
  state.samples_seen = state.sampler_position = progress.samples_seen;
  state.tokens_seen = progress.tokens_seen;
  state.counters[kMicroSteps] = progress.micro_steps;
  return state;
}

TrainerProgress progress_of(const TrainingState& state) {
  const auto micro_steps = state.counters.find(kMicroSteps);
  return {.step = state.step,
          .micro_steps = micro_steps == state.counters.end() ? 0 : micro_steps->second,
          .samples_seen = state.samples_seen,
          .tokens_seen = state.tokens_seen};
}

}  // namespace ferula
