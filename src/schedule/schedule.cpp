#include "schedule/schedule.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace ferula {
namespace {

/// Appends the actions of one stage; the ends of the pipeline have nobody to talk to.
class ScheduleBuilder {
 public:
  ScheduleBuilder(std::int64_t pipeline_rank, std::int64_t pipeline_size, std::int64_t microbatches)
      : is_first_(pipeline_rank == 0),
        is_last_(pipeline_rank == pipeline_size - 1),
        microbatches_(microbatches),
        slots_(slots_needed(pipeline_rank, pipeline_size, microbatches)) {}

  void forward() {
    add(ActionKind::gather, forwards_);
    if (!is_first_) add(ActionKind::receive_input, forwards_);
    add(ActionKind::forward, forwards_);
    if (!is_last_) add(ActionKind::send_output, forwards_);
    ++forwards_;
  }

  void backward() {
    if (!is_last_) add(ActionKind::receive_gradient, backwards_);
    add(ActionKind::backward, backwards_);
    if (!is_first_) add(ActionKind::send_gradient, backwards_);
    ++backwards_;
  }

  Schedule finish() {
    schedule_.push_back({.kind = ActionKind::reduce});
    schedule_.push_back({.kind = ActionKind::update});
    return std::move(schedule_);
  }

 private:
  void add(ActionKind kind, std::int64_t microbatch) {
    schedule_.push_back({kind, microbatch, microbatch % slots_, microbatch == microbatches_ - 1});
  }

  bool is_first_, is_last_;
  std::int64_t microbatches_, slots_;
  std::int64_t forwards_ = 0, backwards_ = 0;
  Schedule schedule_;
};

}  // namespace

std::string_view name_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::gather:
      return "gather";
    case ActionKind::receive_input:
      return "receive_input";
    case ActionKind::forward:
      return "forward";
    case ActionKind::send_output:
      return "send_output";
    case ActionKind::receive_gradient:
      return "receive_gradient";
    case ActionKind::backward:
      return "backward";
    case ActionKind::send_gradient:
      return "send_gradient";
    case ActionKind::reduce:
      return "reduce";
    case ActionKind::update:
      return "update";
  }
  return "unknown";
}

bool is_communication(ActionKind kind) {
  return kind == ActionKind::receive_input || kind == ActionKind::send_output || kind == ActionKind::receive_gradient ||
         kind == ActionKind::send_gradient;
}

std::int64_t slots_needed(std::int64_t pipeline_rank, std::int64_t pipeline_size, std::int64_t microbatches) {
  FERULA_CHECK(pipeline_rank >= 0 && pipeline_rank < pipeline_size && microbatches >= 1,
               "rank {} of a pipeline of {}, {} micro batches", pipeline_rank, pipeline_size, microbatches);
  return std::min(pipeline_size - pipeline_rank, microbatches);
}

Schedule training_schedule(std::int64_t pipeline_rank, std::int64_t pipeline_size, std::int64_t microbatches) {
  const std::int64_t ahead = slots_needed(pipeline_rank, pipeline_size, microbatches) - 1;
  ScheduleBuilder step(pipeline_rank, pipeline_size, microbatches);
  for (std::int64_t i = 0; i < ahead; ++i) step.forward();
  for (std::int64_t i = ahead; i < microbatches; ++i) {
    step.forward();
    step.backward();
  }
  for (std::int64_t i = 0; i < ahead; ++i) step.backward();
  return step.finish();
}

std::string to_text(const Schedule& schedule) {
  std::string text;
  for (const Action& action : schedule) {
    text += name_of(action.kind);
    if (action.microbatch >= 0) text += fmt::format(" {}{}", action.microbatch, action.is_last ? " (last)" : "");
    text += '\n';
  }
  return text;
}

}  // namespace ferula
