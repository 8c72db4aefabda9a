// What a training run would hold and send on other layouts than its own, and the least that fits.
#pragma once

#include <optional>
#include <vector>

#include "app/plan/inference_forecast.hpp"
#include "app/plan/step_simulation.hpp"
#include "config/run_config.hpp"
#include "model/transformer_spec.hpp"
#include "ops/ops.hpp"
#include "train/traffic_forecast.hpp"

namespace ferula {

/// A layout of a job, and what its rank 0 holds at most and sends a step.
struct PlannedLayout {
  std::int64_t stage = 0;
  int ranks = 1;
  std::int64_t micro_batch = 1;
  std::int64_t accumulation = 1;
  MemoryByKind memory{};
  std::int64_t host_bytes = 0;  // beside it, in the host's memory
  TrafficCounts traffic{};
  std::int64_t unmoved_bytes = 0;  // of it, in memory that the ranks have in common

  std::int64_t bytes() const { return sum_of(memory); }
  /// What a rank takes that computes on the host's processors: there, offloading makes no room.
  std::int64_t bytes_on_host() const { return bytes() + host_bytes; }
  std::int64_t samples() const { return micro_batch * accumulation * ranks; }  // a step
  std::int64_t sent_bytes() const;
  std::int64_t moved_bytes() const { return sent_bytes() - unmoved_bytes; }
};

/// Of a rank's memory, what offload_optimizer would move to the host's; 0 where it does already.
std::int64_t offloadable_bytes(const Config& config, const TransformerSpec& spec, int ranks);

/// What a rank holds at most that writes texts with the model.
struct PlannedInference {
  std::int64_t stage = 0;
  int ranks = 1;
  InferenceMemory memory;
};

/// Foresees layouts of one configuration, without ranks. What is not varied is as the configuration says; where its
/// shard size does not divide the ranks, all of them share.
class FitPlanner {
 public:
  /// `config` is resolved but for zero_optimization.shard_size, which is as the user wrote it. References must outlive
  /// the planner.
  FitPlanner(const Config& config, const TransformerSpec& spec, Device& device, Ops& ops, int ranks_on_node)
      : config_(&config), spec_(&spec), device_(&device), ops_(&ops), ranks_on_node_(ranks_on_node) {}

  /// Micro batches are accumulated until a step has at least the samples of the configured batch.
  PlannedLayout layout(std::int64_t stage, int ranks, std::int64_t micro_batch) const;
  /// The step of such a layout.
  SimulatedStep simulate(std::int64_t stage, int ranks, std::int64_t micro_batch, const ScalingMachine& machine) const;
  /// Whether the configured batch is a whole number of micro batches on each of so many ranks.
  bool is_legal(int ranks, std::int64_t micro_batch) const;
  /// The fewest ranks, a power of two or a whole number of nodes up to `most`, of which each has `room` bytes. Empty:
  /// not even `most` ranks.
  std::optional<PlannedLayout> fewest_ranks(std::int64_t stage, std::int64_t micro_batch, std::int64_t room,
                                            int most) const;
  /// Of the memory that limits a rank: with what is offloaded where the device is the host itself.
  std::int64_t needed(const PlannedLayout& layout) const;
  /// The nearest layout on these ranks that fits: the lowest stage from the configured one on, then smaller micro
  /// batches at the highest stage. Empty where none does.
  std::optional<PlannedLayout> nearest_fit(int ranks, std::int64_t room) const;
  PlannedInference inference(std::int64_t stage, int ranks) const;
  /// The fewest ranks that divide the values among them of which each has `room` bytes for `part` of the memory of
  /// inference. Empty: not even `most`.
  std::optional<PlannedInference> fewest_for_inference(MemoryByKind InferenceMemory::*part, std::int64_t room,
                                                       int most) const;

 private:
  DeviceKind computes() const { return config_->run.device == "cpu" ? DeviceKind::cpu : DeviceKind::cuda; }
  /// Calls `look(shape, mesh)` with what such a layout trains.
  template <class Look>
  auto with_job(std::int64_t stage, int ranks, std::int64_t micro_batch, const Look& look) const;

  const Config* config_;
  const TransformerSpec* spec_;
  Device* device_;
  Ops* ops_;
  int ranks_on_node_;
};

}  // namespace ferula
