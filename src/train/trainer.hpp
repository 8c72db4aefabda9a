// One training step after another: the loop's inside, without logs, files or signals.
#pragma once

#include <cstdint>
#include <optional>

#include "comm/mesh.hpp"
#include "schedule/runner.hpp"
#include "train/batch_loader.hpp"
#include "train/learning_rate.hpp"

namespace ferula {

/// Where a run stands; what a resume restores beside the tensors.
struct TrainerProgress {
  std::int64_t step = 0;          // optimizer steps that are done
  std::int64_t micro_steps = 0;   // forward and backward passes of a rank that are done
  std::int64_t samples_seen = 0;  // over all ranks
  std::int64_t tokens_seen = 0;   // over all ranks
};

struct StepResult {
  std::int64_t step = 0;
  double loss = 0.0;           // mean of −log p over the targets of the global batch, in nats
  double gradient_norm = 0.0;  // before clipping
  double learning_rate = 0.0;
  double seconds = 0.0;
  std::int64_t tokens = 0;  // of the global batch
};

/// What the gradient is multiplied by so that its norm is at most `clip`: min(1, clip / (norm + 1e-6)), as in PyTorch's
/// clip_grad_norm_ and DeepSpeed. A clip of 0 does not clip.
double clip_scale(double norm, double clip);

/// Called by all ranks alike. References outlive the trainer.
class Trainer {
 public:
  struct Parts {
    Mesh& mesh;
    Execution& execution;
    ParameterStore& store;
    Transformer& transformer;
    BatchLoader& loader;
    const LearningRate& learning_rate;
  };

  Trainer(const Parts& parts, double gradient_clipping);

  /// Throws Error before the update where the gradient is not finite: the values stay those of the step before.
  StepResult step();
  /// Mean −log p over the validation split in nats; every sample counts once, whatever the layout. Absent without one.
  std::optional<double> validation_loss();

  const TrainerProgress& progress() const { return progress_; }
  void restore(const TrainerProgress& progress) { progress_ = progress; }

 private:
  double update();
  double sum_over_ranks(double value);

  Parts parts_;
  double gradient_clipping_;
  Runner runner_;
  Schedule schedule_;
  TrainerProgress progress_;
};

}  // namespace ferula
