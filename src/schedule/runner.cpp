#include "schedule/runner.hpp"

#include <algorithm>

namespace ferula {

Runner::Runner(Transformer& transformer, ParameterStore& store, Communicator& pipeline, Execution& execution)
    : transformer_(&transformer),
      store_(&store),
      pipeline_(&pipeline),
      execution_(&execution),
      batches_(static_cast<std::size_t>(transformer.settings().slots)) {}

double Runner::run(const Schedule& schedule, const StepWork& work) {
  store_->zero_gradients();
  batches_begun_ = 0;
  double loss = 0.0;
  for (auto action = schedule.begin(); action != schedule.end();) {
    if (!is_communication(action->kind)) {
      loss += execute(*action++, work);
      continue;
    }
    const PhaseTimes::Scope timed(execution_->phases, Phase::communication);
    execution_->communication.wait(execution_->compute.record());
    pipeline_->group_begin();
    while (action != schedule.end() && is_communication(action->kind)) communicate(*action++, work);
    pipeline_->group_end();
    execution_->compute.wait(execution_->communication.record());
  }
  return loss;
}

double Runner::execute(const Action& action, const StepWork& work) {
  switch (action.kind) {
    case ActionKind::gather:
      transformer_->prefetch();
      return 0.0;
    case ActionKind::forward: {
      const TokenBatch& batch = batch_of(action, work);
      const PhaseTimes::Scope timed(execution_->phases, Phase::forward);
      transformer_->forward(batch, action.slot);
      return 0.0;
    }
    case ActionKind::backward: {
      const TokenBatch& batch = batch_of(action, work);
      const PhaseTimes::Scope timed(execution_->phases, Phase::backward);
      return transformer_->backward(batch, action.slot, work.loss_scale,
                                    action.is_last ? GradientState::complete : GradientState::partial);
    }
    case ActionKind::reduce:
      store_->finish_gradients();
      return 0.0;
    case ActionKind::update:
      work.update();
      return 0.0;
    default:
      FERULA_CHECK(false, "{} is no work of one stage", name_of(action.kind));
  }
  return 0.0;
}

void Runner::communicate(const Action& action, const StepWork& work) {
  Stream& stream = execution_->communication;
  const int before = pipeline_->rank() - 1, behind = pipeline_->rank() + 1;
  switch (action.kind) {
    case ActionKind::receive_input:
      return pipeline_->receive(stream, transformer_->input(batch_of(action, work).rows, action.slot), before);
    case ActionKind::send_output:
      return pipeline_->send(stream, transformer_->output(action.slot), behind);
    case ActionKind::receive_gradient:
      return pipeline_->receive(stream, transformer_->gradient(action.slot), behind);
    case ActionKind::send_gradient:
      return pipeline_->send(stream, transformer_->gradient(action.slot), before);
    default:
      FERULA_CHECK(false, "{} talks to no other stage", name_of(action.kind));
  }
}

/// Asks for the batch at the first action of a micro batch, whichever it is on this stage.
TokenBatch& Runner::batch_of(const Action& action, const StepWork& work) {
  TokenBatch& batch = batches_.at(static_cast<std::size_t>(action.slot));
  if (action.microbatch == batches_begun_) {
    const PhaseTimes::Scope timed(execution_->phases, Phase::data);
    batch = work.batch(action.microbatch);
    ++batches_begun_;
  }
  return batch;
}

}  // namespace ferula
