// Before a run writes anything: does what it will write fit below its directory, and does it belong there?
#pragma once

#include <string>
#include <vector>

#include "cluster/cluster_profile.hpp"
#include "config/run_config.hpp"
#include "doctor/storage_room.hpp"
#include "model/transformer_spec.hpp"
#include "train/run_directory.hpp"

namespace ferula {

/// What will be written of a run, in numbers and in words.
struct RunStorage {
  StorageNeed need;
  std::string words;  // "3 checkpoints of 1.50 GiB at once at most; 4.50 GiB in 60 files are still …"

  /// Of so many runs that are alike.
  RunStorage of_runs(std::int64_t runs) const;
};

/// Of a resolved configuration on `ranks` ranks, beside the checkpoints that its run has already and, where its tokens
/// are still to be made, with these.
RunStorage run_storage(const Config& config, const TransformerSpec& spec, int ranks, FileSystem& files);

/// Empty where all fits or the system does not tell; else the numbers, and what to do. Throws CapacityError where not
/// even one checkpoint fits: the work of the run would be lost at its first save.
std::string storage_problem(const SystemFacts& facts, const RunStorage& storage, const std::string& directory);

/// Empty where `run`, absolute, lies where the cluster wants data to be.
std::string place_problem(const ClusterProfile& profile, const std::string& run);

/// An entry of data.text that finds nothing from this folder; empty where each finds something.
std::string missing_text(const DataConfig& data);

}  // namespace ferula
