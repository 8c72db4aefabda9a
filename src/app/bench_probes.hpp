// Probes of what the ranks' machine can do: computation, memory, collectives and disk, and of training
// beside them, with all ranks at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/rank_context.hpp"

namespace ferula {

struct ProbeSettings {
  std::int64_t bytes = 64 << 20;  // of one tensor or file
  int repetitions = 9;
  std::string directory = ".";  // of the disk probe's file
};

/// Rates of one probe, each repetition timed until the slowest rank is ready.
struct ProbeResult {
  std::string group;          // compute, memory, collectives, disk, training
  std::string name;           // "matrix product bf16"
  std::string unit;           // "GFLOP/s", "GB/s"
  std::vector<double> rates;  // all ranks together, ascending
  std::string ceiling = {};   // the name of the probe that bounds it; empty: it is one itself

  double median() const { return rates[rates.size() / 2]; }
};

/// Runs `work` on all ranks at once, again and again; a rate is `amount` divided by the slowest rank's seconds.
ProbeResult measured(RankContext& context, const ProbeSettings& settings, ProbeResult probe, double amount,
                     const std::function<void()>& work);

/// Square matrix products in f32 and bf16, of all ranks together.
std::vector<ProbeResult> probe_compute(RankContext& context, const ProbeSettings& settings);
/// Reading and copying tensors larger than the caches: bytes read, and bytes read plus written, of all ranks together.
std::vector<ProbeResult> probe_memory(RankContext& context, const ProbeSettings& settings);
/// Bus bandwidth of the collectives among all ranks, as nccl-tests define it; nothing on one rank.
std::vector<ProbeResult> probe_collectives(RankContext& context, const ProbeSettings& settings);
/// Writing a new file and waiting until the disk has it (fsync), of all ranks together. Removes its files.
std::vector<ProbeResult> probe_disk(RankContext& context, const ProbeSettings& settings);
/// Steps of a small GPT-2, by the model's own arithmetic (the measure of `mfu`), and the optimizer's part of them.
std::vector<ProbeResult> probe_training(RankContext& context, const ProbeSettings& settings);

}  // namespace ferula
