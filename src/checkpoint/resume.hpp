// How all ranks of a job find and load a checkpoint together.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_reader.hpp"
#include "comm/communicator.hpp"

namespace ferula {

struct LoadedCheckpoint {
  std::string checkpoint;  // its folder
  TrainingState state;
  Digest config_digest;
  /// One for each newer checkpoint that is damaged, with file, tensor and elements; the last says what is used instead.
  std::vector<std::string> warnings;
  ReadStatistics statistics;  // of this rank
};

/// Where ranks meet and what they read with.
struct LoadContext {
  FileSystem& files;
  Communicator& world;
  Device& device;
  Stream& stream;
};

/// Collective. Fills every rank's pieces from the newest checkpoint in `folder` that is good for all ranks; a damaged
/// one becomes a warning. Nothing where the folder holds no checkpoint. DataError where all are damaged, or where one
/// is whole but does not fit the model.
std::optional<LoadedCheckpoint> load_newest(const LoadContext& context, const std::string& folder,
                                            std::span<const OwnedPiece> needed, ReadScope scope);
/// Collective. The same from what `path` means: of a run or its folder of checkpoints the newest that is good; of this
/// very checkpoint damage is a DataError.
LoadedCheckpoint load_from(const LoadContext& context, const std::string& path, std::span<const OwnedPiece> needed,
                           ReadScope scope);

}  // namespace ferula
