// Runs a schedule: calls the model, the parameter store and the pipeline's neighbours in the order of its actions.
#pragma once

#include <functional>
#include <vector>

#include "comm/mesh.hpp"
#include "model/transformer.hpp"
#include "schedule/schedule.hpp"

namespace ferula {

/// What a step needs beside the schedule.
struct StepWork {
  /// The rows of a micro batch; called once for each, in order. Its views stay valid until the step's end.
  std::function<TokenBatch(std::int64_t microbatch)> batch;
  /// The optimizer's step; the gradient is complete then.
  std::function<void()> update;
  /// One divided by the targets of the whole global batch.
  float loss_scale = 1.0f;
};

/// All ranks run schedules of equally many micro batches. References must outlive it.
class Runner {
 public:
  Runner(Transformer& transformer, ParameterStore& store, Communicator& pipeline, Execution& execution);

  /// Zeroes the gradients, then executes all actions. Returns Σ −log p(target) of this rank's rows in nats: multiplied
  /// by the loss scale and summed over all ranks it is the loss of the step.
  double run(const Schedule& schedule, const StepWork& work);

 private:
  double execute(const Action& action, const StepWork& work);
  void communicate(const Action& action, const StepWork& work);
  TokenBatch& batch_of(const Action& action, const StepWork& work);

  Transformer* transformer_;
  ParameterStore* store_;
  Communicator* pipeline_;
  Execution* execution_;
  std::vector<TokenBatch> batches_;  // by slot
  std::int64_t batches_begun_ = 0;   // of this step
};

}  // namespace ferula
