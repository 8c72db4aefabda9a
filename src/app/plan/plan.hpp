// Everything that `ferula plan` foresees of one configuration; its page and its JSON only show it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/plan/fit_plan.hpp"
#include "app/plan/gpu_cards.hpp"
#include "app/plan/pace.hpp"

namespace ferula {

/// What is asked for on the command line.
struct PlanRequest {
  std::string path;
  std::vector<std::string> sets;
  std::vector<std::string> cards;  // --card
  std::string partition;           // of the profile; empty: the configured one
  std::optional<int> ranks;        // absent: those of the job, of the launcher where there is no profile
  std::optional<int> ranks_on_node;
  int launched_ranks = 1;
};

inline constexpr int kMostPlannedGpus = 512;

/// The job that [slurm] asks for.
struct PlannedQueue {
  std::string profile, partition, qos;
  std::optional<std::int64_t> time_s;  // of one job; absent: no limit
  std::int64_t host_bytes = 0;         // of the job on a node
  int host_threads = 1;                // that it has there
  bool requeue = true;
  int most_gpus = kMostPlannedGpus;  // of one job
};

/// What one kind of card does for the model.
struct PlannedCard {
  GpuCardType type;
  Pace pace;
  std::vector<std::optional<PlannedLayout>> fewest;  // by stage
  std::optional<PlannedLayout> fewest_offloaded;     // of all stages, with the optimizer's state on the host
  PlannedLayout alone;                               // on one GPU
  std::optional<PlannedInference> loading, generating;

  /// The fewest GPUs of all stages, at the lowest of them.
  const PlannedLayout* least() const;
};

/// A layout near the configured one, named by what is different.
struct Neighbour {
  enum class Of : unsigned char { micro_batch, ranks };
  Of of = Of::micro_batch;
  std::string_view change;  // "half", "twice"
  PlannedLayout layout;

  std::string name() const;      // "half the micro batch"
  std::string in_short() const;  // "micro batch 2 (half)"
};

struct Plan {
  std::string path;
  Config config;    // resolved, but for zero_optimization.shard_size
  Config on_cards;  // the same on GPUs, where [run] device is something else
  TransformerSpec spec;
  int ranks = 1;
  int ranks_on_node = 1;
  std::optional<PlannedQueue> queue{};
  std::vector<PlannedLayout> stages;         // on these ranks
  std::vector<Neighbour> neighbours;         // at the configured stage
  std::vector<PlannedInference> inferences;  // on these ranks, by stage
  std::optional<std::int64_t> host_bytes{};  // that the ranks on this host, or on the job's node, may take
  std::optional<PlannedLayout> nearest_fit{};
  Pace pace;                 // of the place that is planned for: the first card that was named, else the host
  std::string place;         // "RTX A5000", "this host"
  bool names_cards = false;  // `cards` are those that were named, of the job or of this machine, not all known ones
  int most_gpus = kMostPlannedGpus;  // of the search for the fewest
  std::vector<PlannedCard> cards;

  const PlannedLayout& own() const;
  double flops_per_sample() const;
  double flops_per_step() const;
  bool is_for_cards() const { return names_cards && config.run.device == "cuda"; }
  std::optional<StepTime> time_of(const PlannedLayout& layout) const;
  /// Bytes of `layout` that count against `room`.
  std::int64_t needed(const PlannedLayout& layout) const {
    return is_for_cards() || config.run.device != "cpu" ? layout.bytes() : layout.bytes_on_host();
  }
  /// Bytes that a rank on the host may take; absent: unknown.
  std::optional<std::int64_t> host_room(int ranks_of_job) const;
  /// The same at the place that is planned for; absent where many cards are compared, too.
  std::optional<std::int64_t> room(int ranks_of_job) const;
};

/// Reads the configuration, its cluster profile and the runs beside it; starts nothing. Throws ConfigMistakes.
Plan make_plan(const PlanRequest& request);

}  // namespace ferula
