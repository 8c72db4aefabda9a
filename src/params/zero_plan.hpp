// ZeRO as a choice of process groups (Rajbhandari et al. 2020): for each kind of state, who holds different pieces and
// who holds the same one.
#pragma once

#include <cstdint>
#include <string_view>

#include "comm/mesh.hpp"

namespace ferula {

/// Where a piece of state lives: in the memory of the device, or in the host's, where the host's processors update it.
enum class Tier : std::uint8_t { device, host };

/// `shard`: ranks that hold different pieces; `replica`: ranks that hold the same piece.
struct Placement {
  Communicator* shard = nullptr;
  Communicator* replica = nullptr;
  Tier tier = Tier::device;
};

/// The choice for one flat range. Each rank's optimizer piece lies inside its gradient and its parameter piece.
struct ZeroPlan {
  Placement optimizer;
  Placement gradient;
  Placement parameter;
  Communicator* scatter = nullptr;  // of gradient.replica: ranks over which the optimizer cuts finer than the gradient
  Communicator* combine = nullptr;  // of gradient.replica: ranks that update the same piece
  Communicator* publish = nullptr;  // of optimizer.shard: ranks that must hear of each other's updates
};

/// How often gradients are summed over the ranks that share them out.
enum class GradientReduction : std::uint8_t {
  each_micro_batch,  // as the stage says: no rank keeps more of a gradient than its piece
  once_a_step,       // gradients stay whole until the step's last micro batch, as at stage 1
};

/// The only function that knows the numbers 0 to 3. `optimizer`: where the optimizer's state lives, at any stage.
ZeroPlan make_zero_plan(int stage, GradientReduction reduction, Mesh& mesh, Tier optimizer = Tier::device);
/// The same for a range that every rank keeps whole between steps.
ZeroPlan make_persistent_plan(int stage, GradientReduction reduction, Mesh& mesh, Tier optimizer = Tier::device);
/// What a stage cuts, in the words of the field: "Optimizer + gradient partitioning".
std::string_view stage_name(int stage);
/// Into how many pieces the plan cuts a range at its finest.
int finest_parts(const ZeroPlan& plan);

}  // namespace ferula
