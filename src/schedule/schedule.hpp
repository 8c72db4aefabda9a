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
  receive_input,     // the residual stream of a micro batch, from the stage before
  forward,           // gathers units as it needs them
  send_output,       // to the stage behind
  receive_gradient,  // of the output, from the stage behind
  backward,          // gathers units and reduces each one's gradient when it is complete
  send_gradient,     // of the input, to the stage before
  finish_gradients,  // the sum over all ranks, once, after the last backward
  update,            // the optimizer
};
std::string_view name_of(ActionKind kind);

struct Action {
  ActionKind kind = ActionKind::forward;
  std::int64_t microbatch = -1;  // −1 where the whole step is meant
  std::int64_t slot = 0;         // where the micro batch's activations are kept
  friend bool operator==(const Action&, const Action&) = default;
};

using Schedule = std::vector<Action>;

/// Neighbouring sends and receives progress together: in one order alone, two stages could wait for each other.
bool is_communication(ActionKind kind);

/// Micro batches of which a stage keeps activations at the same time: its distance from the end of the pipeline.
std::int64_t slots_needed(std::int64_t stage, std::int64_t stages, std::int64_t microbatches);

/// The step of `stage` (0 … stages − 1): one forward, one backward in turn (Narayanan et al. 2019, PipeDream-flush).
Schedule training_schedule(std::int64_t stage, std::int64_t stages, std::int64_t microbatches);

/// One action a line, for people.
std::string to_text(const Schedule& schedule);

}  // namespace ferula
