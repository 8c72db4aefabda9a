// How a run scales where each rank keeps its work and there are more and more of them: `ferula plan --scaling`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/plan/plan.hpp"
#include "app/plan/step_simulation.hpp"

namespace ferula {

struct ScalingRequest {
  std::vector<int> ranks;                        // ascending
  std::optional<double> network_gigabytes = {};  // a second, of a node; absent: the card's assumption
};

/// "8,64,512". Throws ConfigError for anything but ascending counts from 1 to 65536.
std::vector<int> scaling_ranks(const std::string& words);

/// A layout with the configured work on each rank.
struct ScaledLayout {
  int ranks = 1;
  SimulatedStep step;
  double efficiency = 0.0;  // tokens a second of a rank, as a share of those of a rank alone
  std::int64_t bytes = 0;   // that a rank holds
  bool fits = true;         // where the room is unknown, too
};

struct ScalingRow {
  std::string name;  // "stage 2", "hybrid, 8 ranks a copy"
  std::int64_t stage = 0;
  int shard = 0;                                     // ranks that share a copy of the state; 0: all
  std::vector<std::optional<ScaledLayout>> layouts;  // by number of ranks; empty where the layout is none
};

struct ScalingForecast {
  std::string place;               // "H100 SXM", "this host"
  std::string computing, sending;  // where the rates come from
  std::vector<int> ranks;
  std::int64_t samples_of_rank = 0;  // a step
  SimulatedStep alone;               // of one rank at stage 0
  std::vector<ScalingRow> rows;
};

/// Stages 0 to 3 and, where there are several nodes, a copy of the state on each of them. Throws ConfigError where
/// nothing is known of how fast ranks compute.
ScalingForecast foresee_scaling(const Plan& plan, const ScalingRequest& request);

std::string scaling_page(const Plan& plan, const ScalingForecast& forecast);
std::string scaling_json(const ScalingForecast& forecast);

}  // namespace ferula
