// What a rank does in a training step, as a list of actions made by a pure function: it can be printed and tested
// without a rank running. One stage is plain gradient accumulation; more are a pipeline, one forward and one backward
// in turn.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

enum class ActionKind : std::uint8_t {
  gather,            // starts bringing the values that a forward pass begins with
  receive_input,     // the residual stream of a micro batch, from the stage before
  forward,           // gathers the other units ahead of their use
  send_output,       // to the stage behind
  receive_gradient,  // of the output, from the stage behind
  backward,          // gathers units; that of the last micro batch sums each complete gradient over all ranks
  send_gradient,     // of the input, to the stage before
  reduce,            // what the last backward has left: afterwards every gradient is summed over all ranks
  update,            // the optimizer
};
std::string_view name_of(ActionKind kind);

struct Action {
  ActionKind kind = ActionKind::forward;
  std::int64_t microbatch = -1;  // −1 where the whole step is meant
  std::int64_t slot = 0;         // where the micro batch's activations are kept
  bool is_last = false;          // of the step's micro batches on this stage
  friend bool operator==(const Action&, const Action&) = default;
};

using Schedule = std::vector<Action>;

/// Neighbouring sends and receives progress together: in one order alone, two stages could wait for each other.
bool is_communication(ActionKind kind);

/// Micro batches of which a stage keeps activations at the same time: its distance from the end of the pipeline.
std::int64_t slots_needed(std::int64_t pipeline_rank, std::int64_t pipeline_size, std::int64_t microbatches);

/// The step of one stage (pipeline_rank 0 … pipeline_size − 1): one forward, one backward in turn (Narayanan et al.
/// 2019, PipeDream-flush).
Schedule training_schedule(std::int64_t pipeline_rank, std::int64_t pipeline_size, std::int64_t microbatches);

/// One action a line, for people.
std::string to_text(const Schedule& schedule);

}  // namespace ferula
